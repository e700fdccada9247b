"""Binary neural networks on an FPGA, bit for bit equal to PyTorch.

>>> import xnorgrid
>>> model = xnorgrid.load("digits")
>>> with xnorgrid.open() as board:
...     board.load(model)
...     labels = board.predict(images)
"""

from .compile import ModelDoesNotFit
from .construct import from_arrays
from .discovery import devices, open
from .driver import Board, Counters
from .errors import BoardError
from .images import ImageError
from .model import Dense, Input, Model, ModelError, describe
from .modelfile import bundled_models, load, save

__all__ = [
    "Board",
    "BoardError",
    "Counters",
    "Dense",
    "ImageError",
    "Input",
    "Model",
    "ModelDoesNotFit",
    "ModelError",
    "bundled_models",
    "describe",
    "devices",
    "from_arrays",
    "load",
    "open",
    "save",
]
