"""Training recipes: what decides a network, as data; those of the bundled models have names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RECIPES", "Recipe", "RecipeError"]


class RecipeError(ValueError):
    """A recipe that cannot be trained; the message says which value and why."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training yields, apart from the data and the torch build."""

    #: One of :data:`xnorgrid.data.DATASETS`.
    dataset: str
    #: Widths of the hidden layers.
    hidden: tuple[int, ...]
    epochs: int
    batch: int = 100
    #: Adam's learning rate at the first epoch; it decays by the same factor every epoch and would
    #: reach ``final_rate`` after the last. Binary weights move faster by
    #: :attr:`BinaryLinear.rate_scale`.
    rate: float = 3e-3
    final_rate: float = 3e-7
    #: Fractions of hidden activations and of inputs zeroed in training.
    dropout: float = 0.0
    input_dropout: float = 0.0
    #: Images are moved by up to this many pixels each way in training; what enters is background.
    shift: int = 0
    #: Training images set aside to choose the best epoch.
    validation: int = 5000
    #: Multiply in bfloat16 in training: ±1 is exact in it, and CPUs that support it are several
    #: times faster.
    bfloat16: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("shift", 0), ("validation", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise RecipeError(f"hidden must be one or more positive widths, not {self.hidden}")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(
                    f"{name} must lie in 0 … 1, 1 excluded, not {getattr(self, name)}"
                )
        if not 0 < self.final_rate <= self.rate:
            raise RecipeError(
                f"final_rate must be positive and at most rate ({self.rate}), not {self.final_rate}"
            )


#: The bundled models.
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
}  # fmt: skip
