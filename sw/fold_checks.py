"""Which parts of a PyTorch network have no integer form, and what would work instead."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .extras import requires
from .network import BinaryNetwork
from .nn import BinaryConv2d, BinaryLinear, Block, ClassNorm, TensorNorm

with requires("train"):
    import torch
    from torch import nn

__all__ = ["FoldError", "block_problems", "head_problems", "layer_names"]

#: Sums beyond this are not all whole numbers in float32.
_EXACT = 1 << 24

#: What to do about modules that are no blocks; the first kind that fits counts.
_REMEDIES: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    (
        (nn.MaxPool2d,),
        "leave it out and give pool='products' or pool='activations' to the Block before it",
    ),
    (
        (nn.AvgPool2d, nn.AdaptiveAvgPool2d),
        "an average of bits is no bit: use a Block's max-pooling, or a dense layer",
    ),
    ((nn.Flatten,), "leave it out: a dense layer flattens feature maps itself"),
    ((nn.Dropout, nn.Dropout2d, nn.Identity), "leave it out: a Block has its own dropout"),
    (
        (nn.BatchNorm1d, nn.BatchNorm2d),
        "leave it out: a Block normalises its products itself",
    ),
    (
        (nn.Linear, nn.Conv2d),
        "use Block(BinaryLinear(…)) or Block(BinaryConv2d(…)), whose weights and activations are binary",
    ),
)
_OTHERWISE = "leave it out: a Block is a binary product, BatchNorm and sign, the only activation"


class FoldError(ValueError):
    """A network that has no exact integer form; the message names every layer, reason and remedy."""


def layer_names(network: BinaryNetwork) -> list[str]:
    """Return a name for each of ``network``'s blocks: conv1, conv2, …, dense1, …

    What is no binary layer goes by its place in the network and its class.
    """
    seen: Counter[str] = Counter()
    result = []
    for index, block in enumerate(network.blocks):
        product = block.product if isinstance(block, Block) else None
        if isinstance(product, (nn.Conv2d, nn.Linear)):
            op = "conv" if isinstance(product, nn.Conv2d) else "dense"
            seen[op] += 1
            result.append(f"{op}{seen[op]}")
        else:
            result.append(f"blocks.{index} ({type(block).__name__})")
    return result


def block_problems(block: nn.Module, eps: float) -> list[str]:
    """Return what keeps ``block`` from being folded, each with its remedy; ``eps`` is the model's."""
    if not isinstance(block, Block):
        remedy = next((text for kinds, text in _REMEDIES if isinstance(block, kinds)), _OTHERWISE)
        return [f"it is no Block, and nothing else has an integer form; {remedy}"]
    found = []
    if type(block).forward is not Block.forward:
        found.append(
            f"its class {type(block).__name__} has a forward() of its own, which folding does not "
            f"see; use Block, or change activate() only"
        )
    found += _product_problems(block.product)
    if type(block).activate is Block.activate:
        found += _norm_problems(block.norm, eps)
    return found


def head_problems(network: BinaryNetwork) -> list[str]:
    """Return what keeps the layer of scores, or what is made of them, from being folded."""
    head, norm = network.head, network.norm
    if not isinstance(head, BinaryLinear):
        return [f"they come from a {type(head).__name__}; use BinaryLinear"]
    found = _product_problems(head)
    if head.weight_bits > 1:
        found.append(
            f"their weights have {head.weight_bits} bits, whose planes are exact up to a constant that only "
            f"a threshold can take in; put a Block before them"
        )
    if isinstance(norm, ClassNorm):
        if not torch.isfinite(norm.gain_and_offset()).all():
            found.append(
                "their ClassNorm has a value that is not finite or a negative variance; "
                "train the network again with a lower rate"
            )
    elif not isinstance(norm, TensorNorm):
        found.append(
            f"they go through a {type(norm).__name__}; use class_norm=True, or False for no more than a "
            f"common gain"
        )
    elif not norm.gain > 0:
        found.append(
            f"the gain that they are trained with is {norm.gain.item():.3g}, so the largest is not the "
            f"class; call the network's clip() after each step"
        )
    return found


def _product_problems(product: nn.Module) -> list[str]:
    kind = BinaryConv2d if isinstance(product, BinaryConv2d) else BinaryLinear
    if not isinstance(product, kind) or type(product).forward is not kind.forward:
        name = type(product).__name__
        return [
            f"its product is a {name}, which need not be binary; use BinaryLinear or BinaryConv2d"
        ]
    found = _conv_problems(product) if isinstance(product, BinaryConv2d) else []
    unusable = np.flatnonzero(~torch.isfinite(product.weight).flatten(1).all(1).numpy())
    if unusable.size:
        found.append(
            f"in channel {unusable[0]} a weight is not finite and has no sign; "
            f"train the network again with a lower rate"
        )
    largest = product.largest
    if largest > _EXACT:
        found.append(
            f"its sums reach {largest}, and beyond {_EXACT} float32 does not hold every whole number; "
            f"use fewer inputs, or pixels of fewer bits"
        )
    return found


def _conv_problems(product: BinaryConv2d) -> list[str]:
    found = []
    if product.groups != 1:
        found.append(
            f"it has groups={product.groups}, but a channel is made of all channels before it; "
            f"use groups=1"
        )
    if set(product.dilation) != {1}:
        found.append(
            f"it has dilation={product.dilation}, but kernels have no gaps; use dilation=1, "
            f"with a larger kernel or stride"
        )
    if len(set(product.stride)) != 1:
        found.append(
            f"it has stride={product.stride}, but rows and columns advance alike; use one number"
        )
    padding = tuple(map(int, product.padding))
    if any(pad >= size for pad, size in zip(padding, product.kernel_size, strict=True)):
        found.append(
            f"it has padding={padding}, and a kernel of {tuple(product.kernel_size)} would lie in "
            f"nothing else; use less padding than the kernel's size"
        )
    if product.weight_bits > 1 and product.fill != -1 and any(padding):
        found.append(
            f"it pads with {product.fill:+d}, but planes of weights of {product.weight_bits} bits are exact "
            f"with the darkest pixel around the image; use fill=-1 or no padding"
        )
    return found


def _norm_problems(norm: nn.Module, eps: float) -> list[str]:
    if not isinstance(norm, nn.BatchNorm1d) or norm.running_mean is None:
        reason = f"its {type(norm).__name__} keeps no mean and variance of each channel"
        return [f"{reason}; use BatchNorm1d with track_running_stats=True"]
    found = []
    if norm.eps != eps:
        found.append(
            f"its BatchNorm's eps is {norm.eps}, but the first layer's is {eps}, and a model keeps one; "
            f"use the same eps in all layers"
        )
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    rows = torch.stack([tensor.detach() for tensor in tensors if tensor is not None])
    unusable = np.flatnonzero((~torch.isfinite(rows).all(0) | (rows[-1] < 0)).numpy())
    if unusable.size:
        found.append(
            f"in channel {unusable[0]} its BatchNorm has a value that is not finite or a negative "
            f"variance, so the network cannot run; train it again with a lower rate"
        )
    return found
