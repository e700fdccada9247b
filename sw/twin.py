"""The PyTorch network of a model, rebuilt to check reference and gateware against it."""

from __future__ import annotations

from .extras import requires
from .model import Model
from .network import BinaryMLP
from .nn import BinaryLinear

with requires("train"):
    import torch

__all__ = ["TwinError", "twin"]


class TwinError(ValueError):
    """A model from which no PyTorch network can be rebuilt; the message says what it lacks."""


@torch.no_grad()
def twin(model: Model) -> BinaryMLP:
    """Return the eval-mode network that ``model`` was folded from, with ±1 as its latent weights.

    Its ``trace`` and ``scores`` equal the original's. It takes nothing from ``model``'s
    thresholds, so comparing the two checks the fold. Raises :class:`TwinError` if ``model`` keeps
    no BatchNorm.
    """
    missing = [layer.name for layer in model.layers[:-1] if layer.name not in model.batchnorm]
    if missing:
        raise TwinError(
            f"model {model.name!r} has no BatchNorm for layer {missing[0]!r}, so its PyTorch "
            f"network cannot be rebuilt; only models that xnorgrid folded can be compared with PyTorch"
        )
    widths = (model.input.size, *(layer.channels for layer in model.layers))
    network = BinaryMLP(widths, model.input, eps=model.batchnorm_eps)
    for block, layer in zip(network.hidden, model.layers[:-1], strict=True):
        _set_weights(block.product, layer.weights)
        norm = block.norm
        rows = torch.tensor(model.batchnorm[layer.name])
        for target, row in zip(
            (norm.weight, norm.bias, norm.running_mean, norm.running_var), rows, strict=True
        ):
            assert target is not None
            target.copy_(row)
    _set_weights(network.head, model.layers[-1].weights)
    return network.eval()


def _set_weights(product: BinaryLinear, bits: object) -> None:
    product.weight.copy_(torch.tensor(bits, dtype=torch.float32).mul_(2).sub_(1))
