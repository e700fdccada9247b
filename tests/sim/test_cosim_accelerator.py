import dataclasses

from xnorgrid.hw.config import preset
from xnorgrid.hw.export import TOP, export
from xnorgrid.sim import cosim

#: No dimension is a multiple of another, and just deep enough for digits with all its layers kept.
CONFIG = dataclasses.replace(preset("tiny"), weight_depth=2048, preset_depth=128)


def test_accelerator_computes_the_trained_network_layer_by_layer(digits, tmp_path, seed):
    arrays = {"images": digits.images}
    for index in range(len(digits.model.layers)):
        arrays[f"reference_{index}"] = digits.reference[index]
        arrays[f"torch_{index}"] = digits.torch[index]
    cosim.run(
        export(CONFIG),
        TOP,
        "xnorgrid.sim.tb_accelerator",
        tmp_path,
        seed=seed,
        parameters={"config": dataclasses.asdict(CONFIG), "model": digits.model.name},
        arrays=arrays,
    )
