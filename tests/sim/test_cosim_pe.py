import numpy as np
import pytest

from xnorgrid.hw.export import to_verilog
from xnorgrid.hw.pe import ProcessingElement
from xnorgrid.packing import pack
from xnorgrid.sim import cosim


@pytest.mark.parametrize("lanes", [7, 64])
def test_processing_element_computes_trained_neurons(digits, lanes, tmp_path, seed):
    """Random neurons of both hidden layers on random images; lane counts that do not divide fan-ins."""
    random = np.random.default_rng(seed)
    weights, activations, presets, expected = [], [], [], {"reference": [], "torch": []}
    for _ in range(60):
        index = int(random.integers(len(digits.model.layers) - 1))
        layer = digits.model.layers[index]
        channel, image = random.integers(len(layer.weights)), random.integers(len(digits.images))
        words = -(-128 // lanes)
        weights.append(np.zeros((words, (lanes + 7) // 8), np.uint8))
        activations.append(weights[-1].copy())
        for padded, bits in (
            (weights[-1], layer.weights[channel]),
            (activations[-1], digits.inputs[index][image]),
        ):
            packed = pack(bits, lanes)
            padded[: len(packed)] = packed
        presets.append(int(layer.thresholds[channel]) - layer.weights.shape[1] - 1)
        for name, bits in expected.items():
            bits.append(digits.raw(getattr(digits, name), index)[image, channel])

    element = ProcessingElement(lanes, accumulator_bits=10)
    cosim.run(
        to_verilog(element, "processing_element"),
        "processing_element",
        "xnorgrid.sim.tb_pe",
        tmp_path,
        seed=seed,
        parameters={
            "lanes": lanes,
            "count_latency": element.count_latency,
            "latency": element.latency,
        },
        arrays={
            "weights": np.array(weights),
            "activations": np.array(activations),
            "presets": np.array(presets),
            **{name: np.array(bits) for name, bits in expected.items()},
        },
    )
