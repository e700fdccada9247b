"""Random networks on random arrays: PyTorch = integer reference = gateware, every value of every layer.

Each hundred of network seeds shares an array, which is compiled once. Up to one in three comes from PyTorch.
``--networks N`` says how many, ``--network-seed S`` replays one.
"""

import networks
import numpy as np
import pytest
import torch_networks

from xnorgrid.batch import batches
from xnorgrid.driver import Board
from xnorgrid.fold import fold
from xnorgrid.hw.core import timing
from xnorgrid.model import describe
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.streams import new_seed
from xnorgrid.verify import first_difference

SHARING = 100


def pytest_generate_tests(metafunc):
    count = metafunc.config.getoption("--networks")
    if metafunc.config.getoption("--network-seed") is not None:
        count = 1
    parts = range(0, count, SHARING)
    metafunc.parametrize(
        "part", [pytest.param(k, id=f"{k}-{min(count, k + SHARING)}") for k in parts]
    )


@pytest.fixture
def seeds(part, pytestconfig):
    """Seeds of networks that share an array."""
    chosen = pytestconfig.getoption("--network-seed")
    if chosen is not None:
        return range(chosen, chosen + 1)
    first = (new_seed() // SHARING) * SHARING + part
    return range(first, first + min(SHARING, pytestconfig.getoption("--networks") - part))


@pytest.fixture
def board(seeds, tmp_path, monkeypatch):
    # Nobody will want these arrays again.
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path))
    rng = np.random.default_rng([seeds.start // SHARING])
    config = networks.random_array(
        rng,
        link="fifo",
        weight_depth=int(rng.integers(24, 200)),
        activation_depth=int(rng.integers(400, 2000)),
        preset_depth=int(rng.integers(24, 200)),
        program_depth=int(rng.integers(8, 65)),
        accumulator_bits=int(rng.integers(15, 20)),
    )
    with Board(open_simulated("compiled", config), config=config) as board:
        yield board


def draw(seed, config):
    """A network that fits ``config``, images, and what PyTorch makes of them, if it comes from there."""
    rng = np.random.default_rng(seed)
    while True:
        network = (
            torch_networks.random_network(rng, weight_planes=True) if rng.random() < 0.3 else None
        )
        model = fold(network, "random") if network else networks.random_network(rng)
        if reference.operations(model, 1) < 200_000 and networks.fits(model, config):
            break
    images = networks.random_images(rng, model, int(rng.integers(1, 3 * config.cols + 1)))
    if network is None:
        model = networks.met_thresholds(rng, model, images)
    return model, images, network


def test_pytorch_reference_and_board_agree(board, seeds):
    for seed in seeds:
        try:
            check(board, *draw(seed, board.config))
        except Exception:
            print(f"replay: pytest tests/test_random_networks.py --network-seed {seed}")
            raise


def check(board, model, images, network):
    names = [layer.name for layer in model.layers]
    results = {"reference": [layer.values for layer in reference.layers(model, images)]}
    if network is not None:
        results["PyTorch"] = network.trace(images)
    board.load(model, keep_layers=True)
    on_board = board.layers(images)
    assert list(on_board) == names
    results["board"] = list(on_board.values())
    difference = first_difference(names, results)
    assert difference is None, f"{difference}\n{describe(model)}\n{board.config}"
    assert board.counters.useful_lanes == reference.operations(model, len(images))

    # Loaded as usual, results take each other's place, and several passes make one run.
    program = board.load(model)
    assert (board.run(images) == results["reference"][-1]).all()
    counted, timed = board.counters, timing(board.config)
    assert counted.useful_lanes == reference.operations(model, len(images))
    assert counted.busy_cycles == sum(
        program.cycles(batch.passes, timed.turnaround, timed.overhead)
        for batch in batches(len(images), board.config.cols, program.max_passes)
    )
    outputs = reference.outputs(model, images)
    assert (board.predict(images) == outputs.argmax(1)).all()
    if network is not None:
        assert (network.outputs(images) == outputs).all()
