"""The PyTorch network of a model, rebuilt to check reference and gateware against it."""

from __future__ import annotations

from .encoding import WeightPlanes
from .extras import requires
from .model import Conv, Layer, Model
from .network import BinaryNetwork
from .nn import BinaryConv2d, BinaryLinear, Block, ClassNorm

with requires("train"):
    import torch

__all__ = ["TwinError", "twin"]


class TwinError(ValueError):
    """A model from which no PyTorch network can be rebuilt; the message says what it lacks."""


@torch.no_grad()
def twin(model: Model) -> BinaryNetwork:
    """Return the eval-mode network that ``model`` was folded from, with ±1 as its latent weights.

    In a first layer with weights of several bits they are the middles of what is rounded to them.

    Its ``trace``, ``scores`` and ``outputs`` equal the original's. It takes nothing from ``model``'s
    thresholds, so comparing the two checks the fold. Pooling comes before BatchNorm: where it came after
    the sign, folding has made every channel rise, and then both are the same. Raises :class:`TwinError` if
    ``model`` keeps no BatchNorm, or pools other than 2x2 positions.
    """
    for layer in model.layers[:-1]:
        if layer.name not in model.batchnorm:
            raise TwinError(
                f"model {model.name!r} has no BatchNorm for layer {layer.name!r}, so its PyTorch "
                f"network cannot be rebuilt; only models that xnorgrid folded can be compared with PyTorch"
            )
        if isinstance(layer, Conv) and layer.pool > 2:
            raise TwinError(
                f"model {model.name!r} pools {layer.pool}x{layer.pool} positions in layer {layer.name!r}, "
                f"which the PyTorch layers do not; only pooling of 2x2 can be compared with PyTorch"
            )
    blocks = []
    for index, layer in enumerate(model.layers[:-1]):
        pool = "products" if isinstance(layer, Conv) and layer.pool == 2 else None
        bits = _weight_bits(model) if index == 0 else 1
        block = Block(_product(layer, bits), eps=model.batchnorm_eps, pool=pool)
        norm = block.norm
        targets = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        for target, row in zip(targets, torch.tensor(model.batchnorm[layer.name]), strict=True):
            assert target is not None
            target.copy_(row)
        blocks.append(block)
    head = _product(model.layers[-1])
    assert isinstance(head, BinaryLinear)
    network = BinaryNetwork(model.input, blocks, head, class_norm=model.affine is not None)
    if isinstance(network.norm, ClassNorm):
        # Mean 0 and variance 1, as they come, and nothing added to it: the affine is all there is.
        network.norm.eps = 0.0
        gain, offset = torch.tensor(model.affine)
        network.norm.weight.copy_(gain)
        network.norm.bias.copy_(offset)
    return network.eval()


def _weight_bits(model: Model) -> int:
    encoding = model.input.encoding
    return encoding.bits if isinstance(encoding, WeightPlanes) else 1


def _product(layer: Layer, bits: int = 1) -> BinaryLinear | BinaryConv2d:
    """The product of ``layer``, whose weights' last axis holds ``bits`` planes of each, lowest first."""
    planes = torch.tensor(layer.weights, dtype=torch.float32).mul_(2).sub_(1)
    scale = 2.0 ** torch.arange(-bits, 0) if bits > 1 else torch.ones(1)
    weights = planes.unflatten(-1, (-1, bits)) @ scale
    product: BinaryLinear | BinaryConv2d
    if isinstance(layer, Conv):
        weights = weights.permute(0, 3, 1, 2)
        product = BinaryConv2d(
            weights.shape[1],
            layer.channels,
            layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
            fill=layer.fill,
        )
    else:
        product = BinaryLinear(weights.shape[1], layer.channels)
    product.weight.copy_(weights)
    return product
