"""What can go wrong between host and board. Every message says the fact, the cause and what to do."""

from __future__ import annotations

__all__ = [
    "BoardError",
    "DeviceBusy",
    "DeviceReset",
    "Disconnected",
    "LinkCorrupt",
    "LinkTimeout",
    "LoadFailed",
    "NotLoaded",
    "NotXnorgrid",
    "PortError",
    "ProtocolMismatch",
    "RequestRefused",
    "WrongConfiguration",
]


class BoardError(RuntimeError):
    """Anything that keeps a board from answering; the board object can be used again afterwards."""


class PortError(BoardError):
    """The port cannot be opened: absent, busy, forbidden, or not named properly."""


class Disconnected(BoardError):
    """The port was there and is gone."""


class LinkTimeout(BoardError):
    """The deadline passed, or every repetition of a request, without an answer."""


class LinkCorrupt(BoardError):
    """Bytes come back, but damaged: no frame is whole."""


class NotXnorgrid(BoardError):
    """The port answers, but not as an xnorgrid board."""


class ProtocolMismatch(BoardError):
    """An xnorgrid board, of a version that this package does not speak."""


class WrongConfiguration(BoardError):
    """An xnorgrid board with another array than the one asked for."""


class DeviceReset(BoardError):
    """The board no longer knows this session: it was reset, or another program took it over."""


class DeviceBusy(BoardError):
    """The array is running something else."""


class RequestRefused(BoardError):
    """The board found a request wrong: host and gateware do not fit together."""


class LoadFailed(BoardError):
    """What was read back after loading is not what was written."""


class NotLoaded(BoardError):
    """There is no model on the board to run."""
