"""Training recipes: what decides a network, as data; those of the bundled models have names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIRST_LAYERS", "RECIPES", "Recipe", "RecipeError"]

FIRST_LAYERS = ("planes", "thermometer", "hadamard")
SCHEDULES = ("exponential", "cosine")
LOSSES = ("squared-hinge", "cross-entropy")


class RecipeError(ValueError):
    """A recipe that cannot be trained; the message says which value and why."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training yields, apart from the data and the torch build."""

    #: One of :data:`xnorgrid.data.DATASETS`.
    dataset: str
    #: Widths of the hidden dense layers.
    hidden: tuple[int, ...]
    #: 3x3 convolutions before them: output channels and size of the max-pooling, 1 (none) or 2, which
    #: comes before BatchNorm.
    features: tuple[tuple[int, int], ...] = ()
    #: What the padding of one pixel around each map holds: -1, 0 or 1. None is no padding.
    fill: int | None = None
    #: Bits of each input value: 1 (pixels are compared with the data set's threshold) or all 8.
    input_bits: int = 1
    #: What the first layer takes: "planes", the ``input_bits`` of each pixel; "thermometer", ``levels`` bits
    #: of each, made by as many thresholds; "hadamard", the signs of each 3x3 patch (of the image, without
    #: convolutions) under ``draws`` random rotations. The latter two see all of a pixel.
    first_layer: str = "planes"
    levels: int = 32
    draws: int = 4
    #: Bits of each weight of the first layer; more than 1 only with all 8 bits of each pixel.
    weight_bits: int = 1
    epochs: int
    batch: int = 100
    #: Adam's learning rate at the first epoch; it would reach ``final_rate`` after the last. Binary
    #: weights move faster by :attr:`BinaryLinear.rate_scale`.
    rate: float = 3e-3
    final_rate: float = 3e-7
    #: How it falls: "exponential", by the same factor every epoch, or "cosine".
    schedule: str = "exponential"
    #: "squared-hinge", as in BinaryNet, or "cross-entropy".
    loss: str = "squared-hinge"
    #: A BatchNorm after the last layer: a gain and an offset for each class, instead of one for all.
    class_norm: bool = False
    #: Fractions of hidden activations and of inputs zeroed in training.
    dropout: float = 0.0
    input_dropout: float = 0.0
    #: Images are moved by up to this many pixels each way in training; what enters is background.
    shift: int = 0
    #: Half of the images, chosen at random, are mirrored in training.
    flip: bool = False
    #: Training images set aside to choose the best epoch.
    validation: int = 5000
    #: Multiply in bfloat16 in training: ±1 is exact in it, and CPUs that support it are several
    #: times faster.
    bfloat16: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("shift", 0), ("validation", 1),
                            ("levels", 1), ("draws", 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name, known in (("schedule", SCHEDULES), ("loss", LOSSES), ("input_bits", (1, 8)),
                            ("fill", (None, -1, 0, 1)), ("first_layer", FIRST_LAYERS),
                            ("weight_bits", (1, 2, 3, 4))):  # fmt: skip
            if getattr(self, name) not in known:
                raise RecipeError(
                    f"{name} must be one of {', '.join(map(str, known))}, not {getattr(self, name)!r}"
                )
        if self.weight_bits > 1:
            if self.first_layer != "planes" or self.input_bits != 8:
                raise RecipeError(
                    f"weight_bits {self.weight_bits} goes with first_layer 'planes' and input_bits 8, "
                    f"not {self.first_layer!r} and {self.input_bits}"
                )
            if self.features and self.fill in (0, 1):
                raise RecipeError(
                    f"weight_bits {self.weight_bits} goes with fill -1 or none, not {self.fill}: only the "
                    f"darkest pixel is the same to all planes of weights"
                )
        if not (self.hidden or self.features) or min(self.hidden, default=1) < 1:
            raise RecipeError(f"hidden must be positive widths, not {self.hidden}")
        for channels, pool in self.features:
            if channels < 1 or pool not in (1, 2):
                raise RecipeError(
                    f"features must be pairs of output channels and a pooling of 1 or 2, "
                    f"not {(channels, pool)}"
                )
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(
                    f"{name} must lie in 0 … 1, 1 excluded, not {getattr(self, name)}"
                )
        if not 0 < self.final_rate <= self.rate:
            raise RecipeError(
                f"final_rate must be positive and at most rate ({self.rate}), not {self.final_rate}"
            )


#: The bundled models, and at its full width the CIFAR-10 network of BinaryNet and of Anderson & Berg.
RECIPES: dict[str, Recipe] = {
    "digits": Recipe(
        dataset="digits", hidden=(128, 128), epochs=200, batch=32, dropout=0.1, validation=144,
    ),
    "sfc": Recipe(
        dataset="mnist", hidden=(256, 256, 256), epochs=80, shift=1, bfloat16=True,
    ),
    "lfc": Recipe(
        dataset="mnist", hidden=(1024, 1024, 1024), epochs=200, batch=128, dropout=0.2,
        input_dropout=0.2, shift=1, bfloat16=True,
    ),
    "cnv": Recipe(
        dataset="cifar10", features=((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 1)),
        hidden=(512, 512), input_bits=8, epochs=80, batch=128, rate=1e-3, final_rate=1e-6,
        schedule="cosine", loss="cross-entropy", shift=3, flip=True, bfloat16=True, validation=2000,
    ),
    "bnn-cifar10": Recipe(
        dataset="cifar10", features=((128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)),
        hidden=(1024, 1024), fill=0, input_bits=8, class_norm=True, epochs=500, batch=50, rate=1e-3,
        bfloat16=True,
    ),
    # At half the width, for hours of one core in place of a GPU.
    "bnn-cifar10-half": Recipe(
        dataset="cifar10", features=((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2)),
        hidden=(512, 512), fill=0, input_bits=8, class_norm=True, epochs=60, batch=128,
        rate=1e-3, schedule="cosine", shift=2, flip=True, bfloat16=True, validation=2000,
    ),
}  # fmt: skip
