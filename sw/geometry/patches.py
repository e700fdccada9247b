"""Why the first layer differs: patches of CIFAR-10 lie along few directions, and not random ones."""

from __future__ import annotations

import numpy as np

from xnorgrid import data

from .rows import Section, Settings, near, reported, within

__all__ = ["fourier_slope", "patches", "principal_components", "radial_power", "sample_patches"]

_TITLE = "Image patches lie along few directions, and not random ones"
_SOURCE = "section 3.3"
#: Pixels on a side of a patch.
_SIDE = 3


_TEXT = """
The first layer sees 3 x 3 patches of three colours. Few directions carry nearly all of their variance, and
these are not random: the first two are plain colours, the next two gradients. Binarising along the pixels'
axes therefore loses more than it would for vectors in general.

The paper explains the order of the components by the 1/f² power spectrum of natural images, and does not
measure it on CIFAR-10. These 32 x 32 images fall off faster: only the lower half of the band is within ±0.5
of that slope, so the verdict depends on the band. That low frequencies dominate is all the more true.
"""


def sample_patches(images: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` random 3 x 3 patches (count, 27) float32 of images (N, height, width, 3), colours fastest."""
    which, top, left = (
        generator.integers(0, limit, count)
        for limit in (len(images), images.shape[1] - _SIDE + 1, images.shape[2] - _SIDE + 1)
    )
    pixels = [
        images[which, top + row, left + column] for row in range(_SIDE) for column in range(_SIDE)
    ]
    return np.concatenate(pixels, 1).astype(np.float32)


def principal_components(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the variance (n,) of the principal components, largest first, and these as rows (n, n).

    A component has length 1, and its largest entry is positive: its sign is otherwise open.
    """
    centred = vectors - vectors.mean(0, dtype=np.float64).astype(vectors.dtype)
    values, components = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    rows = components.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1)
    return values[::-1] / values.sum(), rows * np.sign(largest)


def radial_power(images: np.ndarray) -> np.ndarray:
    """Mean power at 1, 2, … cycles an image of square grey images (N, n, n), each less its mean."""
    n = images.shape[1]
    centred = images - images.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred)) ** 2).mean(0)
    frequencies = np.fft.fftfreq(n, 1 / n)
    radii = np.rint(np.hypot(frequencies[:, None], frequencies)).astype(int)
    return np.array([power[radii == radius].mean() for radius in range(1, n // 2 + 1)])


def fourier_slope(power: np.ndarray, last: int) -> float:
    """Slope of log power against log frequency from 1 to ``last`` cycles an image."""
    slope, _ = np.polyfit(np.log(np.arange(1, last + 1)), np.log(power[:last]), 1)
    return float(slope)


def patches(settings: Settings) -> Section:
    """Principal components of 3 x 3 x 3 patches and the power spectrum.

    Skipped if there is no CIFAR-10 where XNORGRID_DATA says. Raises :class:`~xnorgrid.data.DataError` if the
    settings name a directory without it.
    """
    try:
        images = data.load("cifar10", settings.directory).train_images
    except data.DataError as error:
        if settings.directory is not None:
            raise
        return Section("patches", _TITLE, _SOURCE, skipped=str(error))
    generator = settings.generator("patches")
    shares, components = principal_components(
        sample_patches(images, 10 * settings.samples, generator)
    )
    chosen = generator.permutation(len(images))[: settings.samples // 5]
    power = radial_power(images[chosen].mean(3, dtype=np.float32))
    three, four = 100 * shares[:3].sum(), 100 * shares[:4].sum()
    rows = [
        near(
            "patches.three", "variance in 3 of 27 principal components", three, 90, 1.5,
            "the paper", unit=" %", paper="90 percent",
        ),
        near(
            "patches.four", "variance in 4 of 27 principal components", four, 94.5, 1.5,
            "the paper", unit=" %", paper="94.5 percent",
        ),
        *(
            within(
                f"patches.uniform.{k + 1}", f"variation within a colour of component {k + 1}, over its norm",
                _variation(components[k]), None, 0.15, paper="spatially uniform",
            )
            for k in (0, 1)
        ),
        near(
            "patches.slope", "slope of the power spectrum, 1 to 8 cycles an image",
            fourier_slope(power, 8), -2, 0.5, "1/f²", paper="1/f²",
        ),
        reported(
            "patches.slope.all", "slope of the power spectrum, 1 to 16 cycles an image",
            fourier_slope(power, 16),
        ),
    ]  # fmt: skip
    return Section(
        key="patches",
        title=_TITLE,
        source=_SOURCE,
        text=_TEXT,
        rows=tuple(rows),
        curves={"shares": shares, "components": components, "power": power},
    )


def _variation(component: np.ndarray) -> float:
    """Length of what is left of a patch less each colour's mean; a component has length 1."""
    pixels = component.reshape(_SIDE * _SIDE, 3)
    return float(np.linalg.norm(pixels - pixels.mean(0)))
