"""What of a compiled model lies in a board's memories, and how the rest gets there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xnorgrid.hw.protocol import Op

from .compile import Program
from .errors import LoadFailed
from .link import Call, Progress
from .memory_image import MemoryImage, program_image, weight_images, zero_words
from .session import Session

__all__ = ["Loaded", "Streaming"]


@dataclass(frozen=True)
class Streaming:
    """What it took to run a model in segments, since it was loaded; all 0 for one that needs none.

    Seconds are those of the board: wall-clock time, or on a simulated board its cycles at the clock's rate.
    """

    #: Runs of one segment each.
    segments: int = 0
    #: Weights, presets and instructions that were written for them, without the frames around them.
    streamed_bytes: int = 0
    #: In which the array ran, from the board's own counter.
    array_seconds: float = 0.0
    #: In which it stood still for weights and instructions: from the end of a segment's run to the start of
    #: the next one's, without the transfer of images and results between batches.
    waiting_seconds: float = 0.0

    def __add__(self, other: Streaming) -> Streaming:
        return Streaming(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


class Loaded:
    """The memories of the board behind ``session``, to the knowledge of the host.

    A model of one segment is written once, by :meth:`load`. Of more, the first two are, one into each half of
    the memories, and read back by checksum. Other weights are covered by the CRC-32 of each frame and the
    board's answer to it, not by a checksum: that would need the array to rest while they are read, and a
    faulty memory was found when both halves were checked.

    What an exception left uncertain counts as not there, and is written again.
    """

    def __init__(self, session: Session, program: Program) -> None:
        self._session = session
        self.program = program
        self.streaming = Streaming()
        self._weights = [
            [call for image in weight_images(segment) for call in image.writes()]
            for segment in program.segments
        ]
        self._instructions = [list(program_image(segment).writes()) for segment in program.segments]
        images = self._first_images()
        self._first_writes = [call for image in images for call in image.writes()]
        self._first_checks = [check for image in images for check in image.checks()]
        #: Segments whose weights are in the lower and upper half, and whose instructions are written.
        self._halves: list[int | None] = [None, None]
        self._ready: int | None = None

    def load_calls(self) -> list[Call]:
        """The requests of :meth:`load`: for deadlines."""
        return [*self._first_writes, *(call for call, _ in self._first_checks)]

    def load(self, deadline: float, progress: Progress | None) -> None:
        """Write what the memories hold at first and read it back by checksum.

        Raises :class:`~xnorgrid.errors.LoadFailed` if that is not what was written.
        """
        checks = [call for call, _ in self._first_checks]
        self._session.transfer(self._first_writes, deadline, progress)
        answers = self._session.transfer(checks, deadline, progress)
        for (call, checksum), answer in zip(self._first_checks, answers, strict=True):
            if int.from_bytes(answer, "little") != checksum:
                raise LoadFailed(
                    f"{self._session.transport.description}: {call} reads back with checksum "
                    f"{answer[::-1].hex()} instead of {checksum:08x}: a memory of the board is faulty, or "
                    f"another program writes to it; load the model again"
                )
        self._halves = [0, 1 if len(self._weights) > 1 else None]
        self._ready = 0

    def _first_images(self) -> list[MemoryImage]:
        segments = self.program.segments
        return [
            *zero_words(self.program.config),
            *(image for segment in segments[:2] for image in weight_images(segment)),
            program_image(segments[0]),
        ]

    def stream_calls(self, batches: int) -> list[Call]:
        """Requests that take as long as all that is written during ``batches`` batches: for deadlines."""
        segments = len(self._weights)
        if segments == 1:
            return []
        # Two segments stay where they are, once they are there.
        weights = [call for part in self._weights for call in part]
        weights *= batches if segments > 2 else 1
        written = [*weights, *(batches * [call for part in self._instructions for call in part])]
        line_bytes = sum(call.request_size + call.reply_size for call in written)
        return [Call(Op.WRITE, reply_bytes=line_bytes)]

    def next_to_write(self, running: int, *, last: bool) -> int | None:
        """The next segment, if any, for the half of the memories that segment ``running`` does not use.

        Unless this is the ``last`` batch, it may be one of the next batch. After an odd number of segments,
        segment 0 has to wait for the end of the last one, which is in the same half.
        """
        for ahead in (running + 1, running + 2):
            number = ahead % len(self._weights)
            if ahead != number and last:
                break
            if number % 2 != running % 2:
                return number
        return None

    def write_weights(self, number: int, deadline: float) -> None:
        """Write weights and presets of segment ``number`` into its half, unless they are there.

        The array may run a segment of the other half.
        """
        half = number % 2
        if self._halves[half] == number:
            return
        self._halves[half] = None
        self._stream(self._weights[number], deadline)
        self._halves[half] = number

    def write_instructions(self, number: int, deadline: float) -> None:
        """Write the instructions of segment ``number``, unless they are there. The array must be idle."""
        if self._ready == number:
            return
        self._ready = None
        self._stream(self._instructions[number], deadline)
        self._ready = number

    def _stream(self, calls: list[Call], deadline: float) -> None:
        self._session.transfer(calls, deadline)
        written = sum(len(call.data) for call in calls)
        self.streaming = replace(
            self.streaming, streamed_bytes=self.streaming.streamed_bytes + written
        )
