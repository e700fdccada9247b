import numpy as np
import pytest

from xnorgrid.hw.array import SystolicArray
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.export import to_verilog
from xnorgrid.packing import pack
from xnorgrid.sim import cosim

MEMORIES = {"weight_depth": 2, "activation_depth": 2, "preset_depth": 1, "accumulator_bits": 10}
SHAPES = {
    "odd": ArrayConfig(rows=3, cols=2, lanes=5, **MEMORIES),
    "tiles": ArrayConfig(rows=4, cols=6, lanes=16, tile_rows=2, tile_cols=3, **MEMORIES),
}


def padded(array, count):
    """``array`` with zeros behind along axis 0 up to a length of ``count``."""
    return np.concatenate([array, np.zeros((count - len(array), *array.shape[1:]), array.dtype)])


@pytest.mark.parametrize("shape", SHAPES)
def test_array_computes_trained_layers(digits, shape, tmp_path, seed):
    """All tiles of the first 13 channels of both hidden layers on one batch of images.

    13 is no multiple of the rows: the last tile has rows without a channel, which must give 0.
    """
    config = SHAPES[shape]
    rows, cols = config.rows, config.cols
    channels = 13
    tiles = -(-channels // rows)
    data = {"weights": [], "activations": [], "presets": [], "reference": [], "torch": []}
    for index, layer in enumerate(digits.model.layers[:-1]):
        fan_in = layer.weights.shape[1]
        weights = padded(layer.weights[:channels], tiles * rows)
        presets = padded(layer.thresholds[:channels] - fan_in - 1, tiles * rows)
        for tile in range(tiles):
            block = slice(tile * rows, (tile + 1) * rows)
            # Both layers are given the words of the longer one.
            data["weights"].append(pack(padded(weights[block].T, 128).T, config.lanes))
            inputs = digits.inputs[index][:cols]
            data["activations"].append(pack(padded(inputs.T, 128).T, config.lanes))
            data["presets"].append(presets[block])
            for name in ("reference", "torch"):
                bits = digits.raw(getattr(digits, name), index)[:cols, :channels]
                data[name].append(padded(bits.T, tiles * rows).T[:, block])

    array = SystolicArray(config)
    cosim.run(
        to_verilog(array, "systolic_array"),
        "systolic_array",
        "xnorgrid.sim.tb_array",
        tmp_path,
        seed=seed,
        parameters={
            **{name: getattr(config, name) for name in ("rows", "cols", "lanes")},
            **{name: getattr(config, name) for name in ("tile_rows", "tile_cols")},
            "count_latency": array.count_latency,
            "latency": array.latency,
        },
        arrays={name: np.array(values) for name, values in data.items()},
    )
