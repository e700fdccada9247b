import dataclasses

import networks
import numpy as np
from torch_networks import random_images, random_network

from xnorgrid.fold import fold
from xnorgrid.hw.config import preset
from xnorgrid.hw.export import TOP, export
from xnorgrid.modelfile import save
from xnorgrid.sim import cosim, reference

#: No dimension is a multiple of another, and just deep enough for digits with all its layers kept.
CONFIG = dataclasses.replace(preset("tiny"), weight_depth=2048, preset_depth=128)


def compare(model, images, expected, traced, folder, seed):
    """Run the bench on a model (a bundled name or a file): every layer is the reference's and PyTorch's."""
    arrays = {"images": images}
    for index, (of_reference, of_torch) in enumerate(zip(expected, traced, strict=True)):
        arrays[f"reference_{index}"] = of_reference
        arrays[f"torch_{index}"] = of_torch
    cosim.run(
        export(CONFIG),
        TOP,
        "xnorgrid.sim.tb_accelerator",
        folder,
        seed=seed,
        parameters={"config": dataclasses.asdict(CONFIG), "model": str(model)},
        arrays=arrays,
    )


def test_accelerator_computes_the_trained_network_layer_by_layer(digits, tmp_path, seed):
    compare(digits.model.name, digits.images, digits.reference, digits.torch, tmp_path, seed)


def test_accelerator_computes_a_random_convolution_layer_by_layer(tmp_path, seed):
    rng = np.random.default_rng(seed)
    while True:
        network = random_network(rng)
        model = fold(network, "random")
        operations = sum(model.operations(index) for index in range(len(model.layers)))
        small = model.layers[0].op == "conv" and operations < 20_000
        if small and networks.fits(model, CONFIG):
            break
    images = random_images(model.input, 5, rng).astype(np.uint8)
    save(model, tmp_path / "random.safetensors")
    expected = [layer.values for layer in reference.layers(model, images)]
    traced = network.trace(images)
    compare(tmp_path / "random.safetensors", images, expected, traced, tmp_path, seed)
