import os

import pytest

# Before numpy and torch are loaded, here and in the workers: each worker has one core, and threads that wait
# for each other's turn cost a hundred times what they gain.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def pytest_addoption(parser):
    group = parser.getgroup("xnorgrid")
    group.addoption(
        "--images",
        type=int,
        default=96,
        metavar="N",
        help="images that the simulated board runs for each bundled model, fewer if large; 10000 is all",
    )
    group.addoption(
        "--networks",
        type=int,
        default=300,
        metavar="N",
        help="random networks to run on simulated boards; each hundred shares an array",
    )
    group.addoption(
        "--netlist-networks",
        type=int,
        default=3,
        metavar="N",
        help="random networks to run on the synthesised netlist of each family",
    )
    group.addoption(
        "--network-seed",
        type=int,
        metavar="S",
        help="replay one random network, on the array that it was run on",
    )
    group.addoption(
        "--all-boards",
        action="store_true",
        help="build a bitstream for every board, not only the smallest; a minute each",
    )


@pytest.fixture(scope="session")
def image_count(pytestconfig):
    return pytestconfig.getoption("--images")
