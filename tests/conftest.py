import pytest


def pytest_addoption(parser):
    group = parser.getgroup("xnorgrid")
    group.addoption(
        "--images",
        type=int,
        default=96,
        metavar="N",
        help="MNIST images that the simulated board runs for each bundled model; 10000 is all",
    )


@pytest.fixture(scope="session")
def image_count(pytestconfig):
    return pytestconfig.getoption("--images")
