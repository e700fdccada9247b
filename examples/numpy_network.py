"""Bring a network that was trained elsewhere: here with numpy alone, on scikit-learn's digits.

A hidden layer of random ±1 weights, each channel thresholded at its median over the training set, and
a score layer of ±1 weights, trained by gradient descent on latent weights whose signs are used.

    python examples/numpy_network.py [model.safetensors]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import xnorgrid
from xnorgrid.sim import reference

SEED = 1
HIDDEN = 256
RATE = 1.0
STEPS = 100
TRAINING_IMAGES = 1437


def signs(values):
    """Return -1 where ``values`` are negative and +1 elsewhere: sign(0) is +1."""
    return np.where(values < 0, np.float32(-1), np.float32(1))


def train(images, digits):
    """Return (weights, thresholds) in ±1 arithmetic; ``images`` (N, 64) are ±1."""
    rng = np.random.default_rng(SEED)
    random_weights = signs(rng.normal(size=(HIDDEN, images.shape[1])))
    sums = images @ random_weights.T
    thresholds = np.ceil(np.median(sums, axis=0)).astype(int)
    features = signs(sums - thresholds)

    latent = rng.normal(scale=0.1, size=(10, HIDDEN))
    targets = np.eye(10)[digits]
    for _ in range(STEPS):
        # Dividing by the square root of the fan-in keeps softmax from saturating.
        scores = features @ signs(latent).T / np.sqrt(HIDDEN)
        likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
        likelihood /= likelihood.sum(axis=1, keepdims=True)
        latent = np.clip(latent + RATE * (targets - likelihood).T @ features / len(images), -1, 1)
    return [random_weights, signs(latent)], thresholds


def main():
    images, digits = load_digits(return_X_y=True)
    images = images.astype(np.uint8)  # 0 ... 16; the network sees whether a pixel is at least 8
    bits = signs(images.astype(int) - 8)
    weights, thresholds = train(bits[:TRAINING_IMAGES], digits[:TRAINING_IMAGES])

    model = xnorgrid.from_arrays(
        weights,
        [thresholds],
        compare="sum",
        input=xnorgrid.Input((64,), "threshold", maximum=16, threshold=8),
        name="numpy network",
        labels=[str(digit) for digit in range(10)],
        provenance={"trained_by": "examples/numpy_network.py", "seed": SEED},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1] if sys.argv[1:] else f"{folder}/model.safetensors")
        xnorgrid.save(model, path)
        model = xnorgrid.load(path)

    held_out, expected = images[TRAINING_IMAGES:], digits[TRAINING_IMAGES:]
    scores = reference.scores(model, held_out)
    hidden = signs(bits[TRAINING_IMAGES:] @ weights[0].T - thresholds)
    assert np.array_equal(scores, hidden @ weights[1].T), "the model is not the network"
    accuracy = np.mean(scores.argmax(axis=1) == expected)

    with xnorgrid.open() as board:
        board.load(model)
        assert np.array_equal(board.run(held_out), scores), "the board's scores differ"
        print(
            f"{board.description}: {len(held_out)} held-out images, {accuracy:.1%} right; ", end=""
        )
    print("every score as in numpy")


if __name__ == "__main__":
    main()
