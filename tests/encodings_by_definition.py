"""What the first layer takes of pixels, value by value as docs/model-file.md defines it."""

import hashlib

import numpy as np
from scipy.linalg import hadamard


def inputs(source, images):
    """Integers that enter the first layer for ``images`` (N, *shape): (N, encoded size) int64."""
    images = np.asarray(images, np.int64).reshape(-1, *source.shape)
    return np.array([_image(source, image) for image in images], np.int64).reshape(
        len(images), source.encoded.size
    )


def _image(source, image):
    how, top = source.encoding, source.maximum
    pixels = image.ravel().tolist()
    if source.kind == "pixels":
        return [2 * u - top for u in pixels]
    if source.kind == "thermometer":
        thresholds = [(2 * j + 1) * (top + 1) // (2 * how.levels) for j in range(how.levels)]
        return [1 if u >= t else -1 for u in pixels for t in thresholds]
    if source.kind == "weight-planes":
        largest = (top + 1) * 2 ** (how.bits - 1) - 1
        return [2 * (u << i) - largest for u in pixels for i in range(how.bits)]
    if source.kind == "hadamard":
        return _patches(how, 2 * image.reshape(source.map_shape) - top)
    return [1 if u >= source.threshold else -1 for u in pixels]


def _patches(how, x):
    (rows, columns), (tall, wide) = how.padding, how.patch
    x = np.pad(x, ((rows, rows), (columns, columns), (0, 0)))
    size = 1
    while size < tall * wide * x.shape[2]:
        size *= 2
    stream = hashlib.shake_256(how.seed.to_bytes(8, "little")).digest(how.draws * size // 8 + 1)
    flips = [1 if stream[k // 8] >> k % 8 & 1 else -1 for k in range(how.draws * size)]
    result = []
    for y in range(x.shape[0] - tall + 1):
        for z in range(x.shape[1] - wide + 1):
            patch = x[y : y + tall, z : z + wide].ravel().tolist()
            patch += [0] * (size - len(patch))
            for k in range(how.draws):
                flipped = np.multiply(flips[k * size : (k + 1) * size], patch)
                result += np.where(hadamard(size) @ flipped >= 0, 1, -1).tolist()
    return result
