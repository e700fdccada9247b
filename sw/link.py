"""Requests to a board and their replies, over a line that may lose and damage bytes."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xnorgrid.hw.protocol import WINDOW_BYTES, Op, Region, Reply, Request, Status

from .errors import (
    DeviceBusy,
    DeviceReset,
    Disconnected,
    LinkCorrupt,
    LinkTimeout,
    RequestRefused,
)
from .frames import FrameDecoder, ReplyFrame, encode_request, parse_reply
from .transport import Transport, TransportError

__all__ = ["Call", "Link", "Progress", "checked"]

#: Told how many of how many requests are done.
Progress = Callable[[int, int], None]

#: A request is sent this many times at most.
MAX_ATTEMPTS = 10
#: Reply bytes on their way at most: half of what a serial driver buffers (4096) at least.
REPLY_WINDOW_BYTES = 2048
#: Silence that no line needs: latency timers of USB adapters (16 ms), a busy host.
LATENCY_SECONDS = 0.25
#: Silence of this many times the expected time means that something was lost.
PATIENCE = 1.5
#: Silence of this fraction of a deadline does as well.
DEADLINE_SHARES = 5
#: CRC and two ENDs.
FRAME_BYTES = 6


@dataclass(frozen=True)
class Call:
    """One request. ``reply_bytes`` is the data that its reply brings, ``cycles`` what it costs the board."""

    op: Op
    region: Region = Region.PROGRAM
    bank: int = 0
    address: int = 0
    length: int = 0
    data: bytes = b""
    reply_bytes: int = 0
    cycles: int = 0

    @property
    def request_size(self) -> int:
        """Bytes on the line, without escapes."""
        return Request.size // 8 + len(self.data) + FRAME_BYTES

    @property
    def reply_size(self) -> int:
        """Bytes on the line, without escapes."""
        return Reply.size // 8 + self.reply_bytes + FRAME_BYTES

    def __str__(self) -> str:
        if self.op in (Op.WRITE, Op.READ, Op.CHECKSUM):
            return f"{self.op.name} {self.region.name} bank {self.bank} address {self.address}"
        return self.op.name


@dataclass
class _Flight:
    """A request that waits for its reply."""

    index: int
    frame: bytes
    attempts: int = 0
    #: Running numbers of its first and latest transmission.
    first_sent: int = 0
    last_sent: int = 0


@dataclass
class Traffic:
    """What a call saw of the line, for error messages."""

    requests_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    replies: int = 0
    stale_replies: int = 0
    bad_frames: int = 0

    def __str__(self) -> str:
        return (
            f"sent {self.requests_sent} requests ({self.bytes_sent} bytes), got {self.replies} replies "
            f"and {self.bad_frames} damaged frames ({self.bytes_received} bytes)"
        )


@dataclass
class Link:
    """Carries requests out, many at a time, in spite of lost and damaged frames.

    Attributes
    ----------
    transport : Transport
        The byte pipe. May be exchanged between calls.
    clock_hz, baud : int
        The board's; expected times are worked out from them.
    session : int
        Session of all requests, 16 bits. Replies of other sessions are ignored.
    """

    transport: Transport
    clock_hz: int
    baud: int
    session: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    #: The board's state as its last reply told it.
    last_state: str = "unknown, it never answered"
    _seq: int = 0
    _sent: int = 0

    def new_session(self) -> None:
        """Take a session that replies still on their way cannot belong to."""
        old = self.session
        while self.session == old:
            self.session = secrets.randbelow(1 << 16)

    def expected_seconds(self, calls: Sequence[Call]) -> float:
        """Time that ``calls`` take on a good line, one after the other."""
        line_bytes = sum(call.request_size + call.reply_size for call in calls)
        cycles = sum(call.cycles for call in calls)
        return self._seconds(line_bytes, cycles)

    def _seconds(self, line_bytes: int, cycles: int) -> float:
        board_seconds = line_bytes * 10 / self.baud + cycles / self.clock_hz
        return board_seconds * self.transport.slowdown(self.clock_hz)

    def execute(
        self, calls: Sequence[Call], deadline: float, progress: Progress | None = None
    ) -> list[ReplyFrame]:
        """Carry out ``calls`` and return their replies, in order, whatever their status.

        The board may carry them out in any order, and any of them more than once. ``deadline`` is a time
        of ``time.monotonic()``; ``progress`` is told how many are done. Raises :class:`LinkTimeout` or
        :class:`LinkCorrupt` when it passes or a request was repeated too often, :class:`DeviceReset` when
        the board does not know the session (but not for RESET, which is then done), and
        :class:`Disconnected` when the port is gone.
        """
        self.traffic = Traffic()
        try:
            return self._execute(calls, deadline, progress)
        except TransportError as error:
            raise Disconnected(
                f"the connection to {self.transport.description} is gone ({error}): "
                f"check cable and power, then load the model again"
            ) from error

    def _execute(
        self, calls: Sequence[Call], deadline: float, progress: Progress | None
    ) -> list[ReplyFrame]:
        replies: dict[int, ReplyFrame] = {}
        waiting = deque(range(len(calls)))
        flying: dict[int, _Flight] = {}
        lost: list[_Flight] = []
        answered = 0
        decoder = FrameDecoder()
        quiet_since = time.monotonic()
        budget = deadline - quiet_since
        while len(replies) < len(calls):
            lost += self._launch(calls, waiting, flying)
            if lost:
                self._transmit(lost, calls, deadline)
                lost = []
                quiet_since = time.monotonic()

            flown = [calls[flight.index] for flight in flying.values()]
            patience = LATENCY_SECONDS + PATIENCE * self.expected_seconds(flown)
            # Whatever the board's speed, a deadline leaves room for some repetitions.
            patience = min(patience, max(LATENCY_SECONDS, budget / DEADLINE_SHARES))
            now = time.monotonic()
            if now >= deadline:
                raise self._no_answer(f"{flown[0]} was not answered in time")
            wait = min(deadline, quiet_since + patience) - now
            received = self.transport.read(4096, max(0.0, wait))
            self.traffic.bytes_received += len(received)
            for content in decoder.feed(received):
                reply = self._accept(content, calls, flying)
                if reply is None:
                    continue
                flight = flying.pop(reply.seq)
                replies[flight.index] = reply
                answered = max(answered, flight.first_sent)
                quiet_since = time.monotonic()
            if progress is not None:
                progress(len(replies), len(calls))
            self.traffic.bad_frames = decoder.bad_frames
            # The board answers in order: whatever was last sent before an answered request was first
            # sent, and has no answer yet, was lost.
            lost = [flight for flight in flying.values() if flight.last_sent < answered]
            if time.monotonic() >= quiet_since + patience:
                lost = list(flying.values())
        return [replies[index] for index in range(len(calls))]

    def _launch(
        self, calls: Sequence[Call], waiting: deque[int], flying: dict[int, _Flight]
    ) -> list[_Flight]:
        """Take as many requests from ``waiting`` as the board can queue and the host can hear."""
        request_bytes = sum(len(flight.frame) for flight in flying.values())
        reply_bytes = sum(calls[flight.index].reply_size for flight in flying.values())
        launched: list[_Flight] = []
        while waiting:
            call = calls[waiting[0]]
            frame = encode_request(
                call.op,
                self._seq,
                self.session,
                region=call.region,
                bank=call.bank,
                address=call.address,
                length=call.length,
                data=call.data,
            )
            request_bytes += len(frame)
            reply_bytes += call.reply_size
            full = request_bytes > WINDOW_BYTES or reply_bytes > REPLY_WINDOW_BYTES
            if self._seq in flying or (full and flying):
                break
            flying[self._seq] = _Flight(waiting.popleft(), frame)
            launched.append(flying[self._seq])
            self._seq = (self._seq + 1) % 256
        return launched

    def _transmit(self, flights: list[_Flight], calls: Sequence[Call], deadline: float) -> None:
        for flight in flights:
            flight.attempts += 1
            if flight.attempts > MAX_ATTEMPTS:
                raise self._no_answer(
                    f"{calls[flight.index]} was not answered in {MAX_ATTEMPTS} attempts"
                )
            self._sent += 1
            flight.last_sent = self._sent
            flight.first_sent = flight.first_sent or self._sent
        line = b"".join(flight.frame for flight in flights)
        try:
            self.transport.write(line, max(0.0, deadline - time.monotonic()))
        except TransportError:
            if time.monotonic() >= deadline:
                raise self._no_answer("the line took no more bytes in time") from None
            raise
        self.traffic.requests_sent += len(flights)
        self.traffic.bytes_sent += len(line)

    def _accept(
        self, content: bytes, calls: Sequence[Call], flying: dict[int, _Flight]
    ) -> ReplyFrame | None:
        """Return the reply in ``content`` if it answers a request that is out."""
        reply = parse_reply(content)
        flight = flying.get(reply.seq) if reply else None
        if reply is None:
            return None
        if flight is None or reply.session != self.session:
            self.traffic.stale_replies += 1
            return None
        call = calls[flight.index]
        data_fits = reply.status != Status.OK.value or len(reply.data) == call.reply_bytes
        if reply.op != call.op.value or not (data_fits or call.op is Op.IDENTIFY):
            self.traffic.stale_replies += 1
            return None
        self.traffic.replies += 1
        self.last_state = "running" if reply.running else "idle"
        if reply.status == Status.WRONG_SESSION.value and call.op is not Op.RESET:
            raise DeviceReset(
                f"{self.transport.description} no longer knows this session: it was reset, lost power, or "
                f"another program uses it; make sure of the latter and load the model again"
            )
        return reply

    def _no_answer(self, fact: str) -> LinkTimeout | LinkCorrupt:
        """The error for a call that got no answer: damaged ones are another matter than silence."""
        where = f"{self.transport.description}: {fact}"
        seen = f"{self.traffic}; the board's last known state: {self.last_state}"
        heard = self.traffic.replies or self.traffic.stale_replies
        if self.traffic.bytes_received and not heard:
            return LinkCorrupt(
                f"{where}, what came back is no reply ({seen}); check the baud rate, cable and ground, "
                f"then try again"
            )
        return LinkTimeout(
            f"{where} ({seen}); check that the board is powered and configured and the cable is in, or give "
            f"a longer timeout, then try again"
        )


def checked(call: Call, reply: ReplyFrame) -> bytes:
    """Return the data of an OK reply; raises :class:`DeviceBusy` or :class:`RequestRefused` for others."""
    if reply.status == Status.OK.value:
        return reply.data
    if reply.status == Status.BUSY.value:
        raise DeviceBusy(
            f"{call}: the array is still running; wait for it, or reset the board to stop it"
        )
    known = {status.value: status.name for status in Status}
    raise RequestRefused(
        f"{call}: the board answered {known.get(reply.status, reply.status)}; gateware and driver do not fit "
        f"together, load a bitstream built from this version"
    )
