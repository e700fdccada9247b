"""Bring a convolutional network that was trained elsewhere: here with numpy alone, on scikit-learn's digits.

A convolution of random ±1 kernels on 4-bit pixels, zeros around the image, the largest of 2x2 positions,
each channel thresholded at its median; then ±1 scores with a gain and an offset for each class, trained
by gradient descent on latent weights whose signs are used.

    python examples/numpy_convolution.py [model.safetensors]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import xnorgrid
from xnorgrid.sim import reference

SEED = 1
CHANNELS = 24
RATE = 3.0
STEPS = 60
TRAINING_IMAGES = 1437


def signs(values):
    """Return -1 where ``values`` are negative and +1 elsewhere: sign(0) is +1."""
    return np.where(values < 0, np.float32(-1), np.float32(1))


def convolve(pixels, kernels):
    """Return sums (N, 4, 4, out) of ``kernels`` (out, 3, 3), the largest of 2x2, on ``pixels`` (N, 8, 8)."""
    x = np.pad(2 * pixels.astype(np.float32) - 15, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    sums = np.einsum("nhwij,oij->nhwo", windows, kernels)
    return sums.reshape(len(x), 4, 2, 4, 2, -1).max((2, 4))


def train(features, digits):
    """Return ±1 weights (10, n) and float32 gains and offsets (2, 10) for ±1 ``features`` (N, n)."""
    rng = np.random.default_rng(SEED)
    latent = rng.normal(scale=0.1, size=(10, features.shape[1]))
    latent = latent.astype(np.float32)
    offset = np.zeros(10, np.float32)
    gain = np.float32(1 / np.sqrt(features.shape[1]))  # keeps softmax from saturating
    targets = np.eye(10, dtype=np.float32)[digits]
    for _ in range(STEPS):
        outputs = gain * (features @ signs(latent).T) + offset
        likelihood = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        likelihood /= likelihood.sum(axis=1, keepdims=True)
        error = (targets - likelihood) / np.float32(len(features))
        latent = np.clip(latent + RATE * error.T @ features, -1, 1)
        offset += error.sum(axis=0)
    return signs(latent), np.stack([np.full(10, gain), offset])


def main():
    images, digits = load_digits(return_X_y=True)
    pixels = np.minimum(images, 15).astype(np.uint8).reshape(-1, 8, 8)  # they came as 0 ... 16
    kernels = signs(np.random.default_rng(SEED).normal(size=(CHANNELS, 3, 3)))
    sums = convolve(pixels, kernels)
    thresholds = np.ceil(np.median(sums[:TRAINING_IMAGES], axis=(0, 1, 2))).astype(int)
    features = signs(sums - thresholds).reshape(len(pixels), -1)
    weights, affine = train(features[:TRAINING_IMAGES], digits[:TRAINING_IMAGES])

    model = xnorgrid.from_arrays(
        [kernels[..., None], weights],  # the image has one channel
        [thresholds],
        compare="sum",
        convolutions={0: {"padding": 1, "fill": 0, "pool": 2}},
        affine=affine,
        input=xnorgrid.Input((8, 8), "pixels", maximum=15),
        name="numpy convolution",
        labels=[str(digit) for digit in range(10)],
        provenance={"trained_by": "examples/numpy_convolution.py", "seed": SEED},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1] if sys.argv[1:] else f"{folder}/model.safetensors")
        xnorgrid.save(model, path)
        model = xnorgrid.load(path)

    held_out, expected = pixels[TRAINING_IMAGES:], digits[TRAINING_IMAGES:]
    scores = reference.scores(model, held_out)
    assert np.array_equal(scores, features[TRAINING_IMAGES:] @ weights.T), (
        "the model is not the network"
    )
    classes = model.outputs(scores).argmax(axis=1)

    with xnorgrid.open() as board:
        board.load(model)
        assert np.array_equal(board.run(held_out), scores), "the board's scores differ"
        assert np.array_equal(board.predict(held_out), classes), "the board's classes differ"
        accuracy = np.mean(classes == expected)
        print(
            f"{board.description}: {len(held_out)} held-out images, {accuracy:.1%} right; ", end=""
        )
    print("every score as in numpy")


if __name__ == "__main__":
    main()
