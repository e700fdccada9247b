"""A conversation with one board that survives lost frames, lost ports and resets."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import Identity, Op, StatusReport

from .errors import (
    DeviceReset,
    Disconnected,
    LinkCorrupt,
    NotXnorgrid,
    PortError,
    WrongConfiguration,
)
from .identity import BoardIdentity, parse_identity
from .link import Call, Link, Progress, checked
from .transport import Transport

__all__ = ["Session"]

#: A call may take this many times the time it takes on a good line, and so repeat what was lost ...
_MARGIN = 6.0
#: ... and this many seconds more.
_GRACE_SECONDS = 1.0

#: Requests of one session at most in :meth:`Session.transfer`: a sequence number has 8 bits.
_SESSION_REQUESTS = 256

_IDENTIFY = Call(Op.IDENTIFY, reply_bytes=Identity.size // 8)
_STATUS = Call(Op.STATUS, reply_bytes=StatusReport.size // 8)
_RESET = Call(Op.RESET)


class Session:
    """Requests to a board that knows us, and the way back to that after any failure.

    The parameters are those of :class:`~xnorgrid.driver.Board`.
    """

    def __init__(
        self,
        transport: Transport,
        config: ArrayConfig,
        reopen: Callable[[], Transport] | None,
        timeout: float | None,
    ) -> None:
        self._link = Link(transport, config.clock_hz, config.baud)
        self._reopen = reopen
        self._closed = False
        #: Whether the port is there, the board knows us, and the last conversation ended well.
        self._connected = True
        self._known = False
        self._healthy = True
        #: The session before the present one, while it is uncertain which of them the board is in.
        self._previous: int | None = None
        self._identity: BoardIdentity | None = None
        #: Requests of the present session so far.
        self._requests = 0
        #: How often the board was found to have forgotten us, and so perhaps its memories.
        self.losses = 0
        try:
            self.start(self.deadline(timeout, []), _IDENTIFY)
        except LinkCorrupt as error:
            self.close()
            raise NotXnorgrid(
                f"something answers, but not as an xnorgrid board: choose another port or baud rate, or "
                f"load an xnorgrid bitstream into the board; {error}"
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def transport(self) -> Transport:
        """The byte pipe in use."""
        return self._link.transport

    @property
    def identity(self) -> BoardIdentity:
        """Who the board said it is."""
        if self._identity is None:
            raise PortError(f"{self.transport.description} was never identified: open it again")
        return self._identity

    def close(self) -> None:
        """Release the transport. May be called twice."""
        self._closed = True
        self.transport.close()

    def require_open(self) -> None:
        """Raise :class:`PortError` after :meth:`close`."""
        if self._closed:
            raise PortError(f"{self.transport.description} was closed: open the board again")

    def deadline(self, timeout: float | None, calls: Sequence[Call]) -> float:
        """When ``calls``, and perhaps a recovery before them, have to be done, in ``time.monotonic()``."""
        now = time.monotonic()
        if timeout is not None:
            return now + timeout
        recovery = [_STATUS, _IDENTIFY, _RESET, _IDENTIFY]
        return now + _GRACE_SECONDS + _MARGIN * self._link.expected_seconds([*recovery, *calls])

    @contextmanager
    def conversation(self, deadline: float, *, fresh: bool = False) -> Iterator[None]:
        """Requests belong inside. Recovers first if the last conversation failed.

        With ``fresh``, a new session is started in any case, whatever the board still knows. Otherwise
        raises :class:`DeviceReset` if the board has forgotten us, and so perhaps lost its memories.
        """
        self.require_open()
        healthy, self._healthy = self._healthy, False
        try:
            self._connect()
            if fresh or not self._known:
                self.start(deadline, _IDENTIFY)
            elif not healthy and self._find(deadline).running:
                self.restart(deadline)
            yield
        except DeviceReset:
            self._known = False
            self.losses += 1
            raise
        except Disconnected:
            self._connected = False
            raise
        self._healthy = True

    def _connect(self) -> None:
        if self._connected:
            return
        if self._reopen is None:
            raise Disconnected(
                f"the connection to {self.transport.description} is gone: open the board again"
            )
        self.transport.close()
        self._link.transport = self._reopen()
        self._connected = True

    def _find(self, deadline: float) -> Any:
        """Return the board's report in whichever session it is ours."""
        previous, self._previous = self._previous, None
        try:
            return self.report(deadline)
        except DeviceReset:
            if previous is None:
                raise
        except BaseException:
            self._previous = previous
            raise
        self._link.session, self._requests = previous, _SESSION_REQUESTS
        return self.report(deadline)

    def restart(self, deadline: float) -> None:
        """Stop whatever runs and clear the counters; raises :class:`DeviceReset` like :meth:`renew`."""
        self.start(deadline, self._handover())

    def start(self, deadline: float, handshake: Call) -> None:
        """Stop whatever runs, clear the counters, and become the one whom the board listens to."""
        self._new_session()
        self._identify(deadline, handshake)
        # RESET forgets the session, so that its repetition finds none: done is done.
        self._link.execute([_RESET], deadline)
        self._new_session()
        self._identify(deadline, _IDENTIFY)
        self._previous = None
        self._known = True

    def renew(self, deadline: float) -> None:
        """Change the session, so that nothing sent or answered before counts any more.

        Raises :class:`DeviceReset` if the board was not in the session so far.
        """
        handshake = self._handover()
        self._new_session()
        self._identify(deadline, handshake)
        self._previous = None

    def _new_session(self) -> None:
        self._link.new_session()
        self._requests = 0

    def _handover(self) -> Call:
        """A handshake that the board only accepts in the present session."""
        self._previous = self._link.session
        return dataclasses.replace(_IDENTIFY, bank=1, address=self._previous)

    def _identify(self, deadline: float, call: Call) -> None:
        [answer] = self.request([call], deadline)
        identity = parse_identity(answer, self.transport.description)
        if self._identity is not None and self._identity != identity:
            raise WrongConfiguration(
                f"{self.transport.description} was {self._identity} and is now {identity}: "
                f"open the board again"
            )
        self._identity = identity
        self._link.clock_hz, self._link.baud = identity.config.clock_hz, identity.config.baud

    def request(
        self, calls: Sequence[Call], deadline: float, progress: Progress | None = None
    ) -> list[bytes]:
        """Carry out ``calls``, all of which have to succeed, and return their replies' data."""
        self._requests += len(calls)
        replies = self._link.execute(calls, deadline, progress)
        return [checked(call, reply) for call, reply in zip(calls, replies, strict=True)]

    def transfer(
        self, calls: Sequence[Call], deadline: float, progress: Progress | None = None
    ) -> list[bytes]:
        """As :meth:`request`, in a new session whenever this one runs out of sequence numbers.

        So no late reply to a request is ever taken for the reply to another. Only questions for the board's
        state may come more often than there are numbers.
        """
        answers: list[bytes] = []
        while len(answers) < len(calls):
            room = _SESSION_REQUESTS - self._requests
            if room <= 0:
                self.renew(deadline)
                continue
            start = len(answers)
            part = calls[start : start + room]
            answers += self.request(part, deadline, _part_of(progress, start, len(calls)))
        return answers

    def report(self, deadline: float) -> Any:
        """Ask for the board's :data:`~xnorgrid.hw.protocol.StatusReport`."""
        [answer] = self.request([_STATUS], deadline)
        return StatusReport.from_bits(int.from_bytes(answer, "little"))


def _part_of(progress: Progress | None, start: int, total: int) -> Progress | None:
    """What to tell of requests from number ``start`` on so that ``progress`` hears of all."""
    if progress is None:
        return None
    return lambda done, _: progress(start + done, total)
