"""Finding and opening boards by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from serial.tools import list_ports

from xnorgrid.hw.config import ArrayConfig, ConfigError, preset

from .driver import Board
from .errors import BoardError, PortError, WrongConfiguration
from .identity import BoardIdentity
from .serial_port import SerialTransport
from .transport import Transport

__all__ = ["RATES", "Device", "devices", "open"]

#: The environment variable that names the board when the program does not.
VARIABLE = "XNORGRID_DEVICE"
NAMES = "serial:PORT, serial:PORT?baud=RATE, auto, sim, sim:PRESET, compiled:PRESET or pysim:PRESET"
_SIMULATED = {"sim": "auto", "compiled": "compiled", "pysim": "pysim"}
_DEFAULT_PRESETS = {"sim": "sim", "compiled": "sim", "pysim": "small"}
_PROBE_SECONDS = 0.5
#: Bit rates at which boards are looked for. The first is the one that an open without better knowledge takes.
RATES = (preset("sim").baud, 3_000_000, 1_000_000)


@dataclass(frozen=True)
class Device:
    """A real board that answered: ``name`` is what :func:`open` takes."""

    name: str
    description: str
    identity: BoardIdentity


def devices(*, baud: int | None = None, timeout: float = _PROBE_SECONDS) -> list[Device]:
    """Ask every serial port of this machine who it is; return the xnorgrid boards among them.

    Sends a few bytes to each port, at ``baud`` or at each of :data:`RATES`, and waits ``timeout`` seconds for
    an answer each time. Ports that cannot be opened or do not answer are left out.
    """
    found = []
    for port in sorted(list_ports.comports(), key=lambda port: port.device):
        for rate in (baud,) if baud else RATES:
            assumed = rate == RATES[0] and not baud
            name = f"serial:{port.device}" + ("" if assumed else f"?baud={rate}")
            try:
                with open(name, timeout=timeout) as board:
                    found.append(Device(name, port.description or port.device, board.identity))
                break
            except BoardError:
                continue
    return found


def open(
    device: str | None = None,
    *,
    config: ArrayConfig | None = None,
    timeout: float | None = None,
) -> Board:
    """Open a board, real or simulated.

    ``device`` is ``"serial:/dev/ttyUSB1"`` or ``"serial:COM3?baud=3000000"`` for a real board, ``"auto"``
    for the only real board that answers on any port, or a simulated one: ``"sim"`` (compiled if there is a
    C++ compiler, else pysim), ``"compiled"`` or ``"pysim"``, each with ``:PRESET`` if wanted. Without
    ``device`` the environment variable XNORGRID_DEVICE is asked, and without that the simulated board is
    taken, which standard error then says. A named board is never replaced by another.

    ``config`` is the array to simulate, or the one that a real board must have. ``timeout`` is in seconds,
    for the handshake. Raises a :class:`~xnorgrid.errors.BoardError`.
    """
    if device is None:
        device = os.environ.get(VARIABLE) or None
    if device is None:
        device = "sim"
        print(
            f"xnorgrid: using the simulated board; name another by argument or {VARIABLE}",
            file=sys.stderr,
        )
    kind, _, rest = device.partition(":")
    if device == "auto":
        device = _only_board()
        kind, _, rest = device.partition(":")
    if kind == "serial" and rest:
        return _open_serial(rest, config, timeout)
    if kind in _SIMULATED:
        return _open_simulated(kind, rest, config, timeout)
    raise PortError(f"no board is called {device!r}: use {NAMES}")


def _only_board() -> str:
    found = devices()
    if not found:
        raise PortError(
            "no board answers on any port: plug one in and load an xnorgrid bitstream, name its port as "
            "serial:PORT, or use sim for the simulated board"
        )
    if len(found) > 1:
        listing = "; ".join(f"{board.name} ({board.identity})" for board in found)
        raise PortError(f"{len(found)} boards answer: name one of {listing}")
    return found[0].name


def _open_serial(rest: str, config: ArrayConfig | None, timeout: float | None) -> Board:
    port, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    rate = options.pop("baud", None)
    if options or (rate is not None and not (rate.isdecimal() and int(rate) > 0)):
        raise PortError(
            f"serial:{rest} is no board's name: use serial:PORT or serial:PORT?baud=RATE"
        )
    assumed = config or preset("sim")
    baud = int(rate) if rate else assumed.baud

    def connect() -> Transport:
        return SerialTransport(port, baud)

    board = Board(connect(), config=assumed, reopen=connect, timeout=timeout)
    if config is not None and board.config != config:
        board.close()
        raise WrongConfiguration(
            f"serial:{port} has {board.identity}, but another configuration was asked for: load the "
            f"bitstream of the one that you want, or leave config out"
        )
    return board


def _open_simulated(
    kind: str, name: str, config: ArrayConfig | None, timeout: float | None
) -> Board:
    if config is not None and name:
        raise PortError(f"{kind}:{name} already names a configuration: leave it or config out")
    try:
        simulated = config or preset(name or _DEFAULT_PRESETS[kind])
    except ConfigError as error:
        raise PortError(f"{kind}:{name} cannot be simulated: {error}") from None
    # Where the choice is ours, the slow simulator gets an array that it can cope with.
    own_choice = config is None and not name
    without_compiler = preset(_DEFAULT_PRESETS["pysim"]) if own_choice else None
    connect = _simulator(_SIMULATED[kind], simulated, without_compiler)
    return Board(connect(), config=simulated, reopen=connect, timeout=timeout)


def _simulator(
    kind: str, config: ArrayConfig, without_compiler: ArrayConfig | None
) -> Callable[[], Transport]:
    # Imported only here: a real board needs no simulator.
    from xnorgrid.sim.boards import open_simulated
    from xnorgrid.sim.verilator import CompileError, NoCompiler

    def connect() -> Transport:
        try:
            return open_simulated(kind, config, without_compiler)
        except (CompileError, NoCompiler) as error:
            raise PortError(f"the compiled simulated board cannot be made: {error}") from error

    return connect
