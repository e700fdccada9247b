from dataclasses import dataclass

import numpy as np
import pytest

from xnorgrid.model import Model
from xnorgrid.sim.reference import inputs, layers
from xnorgrid.sim.streams import new_seed


@dataclass(frozen=True)
class Traced:
    """A model with what the integer reference and PyTorch make of some images, layer by layer."""

    model: Model
    images: np.ndarray
    #: Input bits of every layer, (N, fan_in) uint8.
    inputs: list[np.ndarray]
    #: Bits of every hidden layer and, last, scores.
    reference: list[np.ndarray]
    torch: list[np.ndarray]

    def raw(self, results, index):
        """Bits of a hidden layer as an element gives them: before its channels' inversion."""
        return results[index] ^ self.model.layers[index].inverted.astype(np.uint8)


@pytest.fixture
def seed():
    return new_seed()


@pytest.fixture(scope="session")
def digits():
    """The bundled digits model on a dozen test images."""
    from xnorgrid import data, modelfile
    from xnorgrid.twin import twin

    model = modelfile.load("digits")
    images = data.load("digits").test_images[:12]
    reference = [result.values for result in layers(model, images)]
    return Traced(
        model=model,
        images=images,
        inputs=[(inputs(model, images) > 0).astype(np.uint8), *reference[:-1]],
        reference=reference,
        torch=twin(model).trace(images),
    )
