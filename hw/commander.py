"""Requests to memory accesses, runs and replies."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import MemoryBus, Packet, RunControl, word_bits
from .config import LINKS, ArrayConfig
from .framing import CRC32
from .protocol import (
    IDENTITY_MAGIC,
    MAX_DATA_BYTES,
    PROTOCOL_VERSION,
    Identity,
    Instruction,
    Op,
    Region,
    Reply,
    Request,
    Run,
    Status,
    StatusReport,
    data_bytes,
)

__all__ = ["Commander", "RegionShape", "identity", "region_shapes"]


class RegionShape:
    """Size of a region: ``banks`` memories of ``depth`` words of ``width`` bits."""

    def __init__(self, banks: int, depth: int, width: int) -> None:
        self.banks = banks
        self.depth = depth
        self.width = width
        self.word_bytes = data_bytes(width)


def region_shapes(config: ArrayConfig) -> dict[Region, RegionShape]:
    """Return the size of each region of ``config``."""
    return {
        Region.PROGRAM: RegionShape(1, config.program_depth * Instruction.size // 32, 32),
        Region.WEIGHTS: RegionShape(config.rows, config.weight_depth, config.lanes),
        Region.PRESETS: RegionShape(config.rows, config.preset_depth, config.accumulator_bits),
        Region.ACTIVATIONS: RegionShape(config.cols, config.activation_depth, config.lanes),
    }


def identity(config: ArrayConfig, build: int) -> data.Const:
    """Return what a board of ``config`` answers to IDENTIFY; ``build`` fills the 64-bit field."""
    fields = {name: getattr(config, name) for name, _ in Identity if hasattr(config, name)}
    fields["link"] = LINKS.index(config.link)
    return Identity.const(
        {"magic": IDENTITY_MAGIC, "version": PROTOCOL_VERSION, "build": build, **fields}
    )


class Source(enum.Enum, shape=2):
    """Where a reply's data comes from."""

    STORED = 0
    IDENTITY = 1
    MEMORY = 2


class Commander(wiring.Component):
    """Carry out each request of the protocol and answer it with exactly one reply.

    Takes one request at a time: the next one is read when the last byte of the reply has been taken. A
    request's bytes are taken one per cycle, a written word costs one more and what the memory makes it
    wait. Data to read follows at ``word_bytes + 1`` cycles plus the memory's latency per word, and a
    checksum takes as long. A read or write first spends up to MAX_DATA_BYTES cycles to count its words.

    Nothing is done on behalf of a request whose session, operation or length is wrong. An IDENTIFY that
    changes the session also forgets the tag of the last run, so that a run of a new session is never
    taken for a repetition.

    Parameters
    ----------
    config : ArrayConfig
        The array behind ``memory`` and ``control``.
    build : int
        Identity.build.

    Members
    -------
    i : In(stream.Signature(Packet))
        Requests, each at least a header long; shorter ones are ignored.
    o : Out(stream.Signature(Packet))
        Replies.
    memory : Out(MemoryBus(config))
        The memories.
    control : Out(RunControl())
        The sequencer.
    bad_frame : In(1)
        1 for one cycle for each dropped frame, to be counted.
    lost_byte : In(1)
        1 for one cycle for each lost byte, to be counted.
    """

    def __init__(self, config: ArrayConfig, build: int = 0) -> None:
        self.config = config
        self.identity = identity(config, build)
        super().__init__(
            {
                "i": In(stream.Signature(Packet)),
                "o": Out(stream.Signature(Packet)),
                "memory": Out(MemoryBus(config)),
                "control": Out(RunControl()),
                "bad_frame": In(1),
                "lost_byte": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        control = self.control
        memory = self.memory
        shapes = region_shapes(self.config)

        # The request: its header, and what is left of it.
        request = Signal(Request)
        op = request.op.as_value()
        region = request.region.as_value()
        byte_count = Signal(range(max(Request.size, Run.size) // 8))
        has_data = Signal()
        run = Signal(Run)

        # The addressed memory and the place in it.
        exists = Signal()
        depth = Signal(17)
        word_bytes = Signal(range(max(shape.word_bytes for shape in shapes.values()) + 1))
        address = Signal(17)
        words_left = Signal(16)
        bytes_left = Signal(16)
        word = Signal(8 * data_bytes(word_bits(self.config)))
        word_index = Signal(range(len(word) // 8))
        word_done = word_index == word_bytes - 1
        read_word = Signal.like(self.memory.read_data)

        # The reply: its header, and where its data comes from.
        status = Signal(Status)
        reply = Signal(Reply)
        reply_length = Signal(16)
        header_left = Signal(range(Reply.size // 8))
        source = Signal(Source)
        stored = Signal(StatusReport.size)
        identity_index = Signal(range(Identity.size // 8))

        # What outlives a request.
        session = Signal(16)
        has_session = Signal()
        tag = Signal(16)
        has_tag = Signal()
        active = Signal()
        done = Signal()
        bad_frames = Signal(32)
        lost_bytes = Signal(32)

        m.d.sync += [
            bad_frames.eq(bad_frames + self.bad_frame),
            lost_bytes.eq(lost_bytes + self.lost_byte),
        ]
        with m.If(active & ~control.running):
            m.d.sync += [active.eq(0), done.eq(1)]

        report = Signal(StatusReport)
        m.d.comb += [
            report.tag.eq(tag),
            report.running.eq(control.running),
            # The cycle in which a run has just ended counts as done, not as neither running nor done.
            report.done.eq(done | (active & ~control.running)),
            report.busy_cycles.eq(control.busy_cycles),
            report.stalled_cycles.eq(control.stalled_cycles),
            report.useful_lanes.eq(control.useful_lanes),
            report.bad_frames.eq(bad_frames),
            report.lost_bytes.eq(lost_bytes),
        ]

        m.submodules.crc = crc = CRC32(data_width=8).create()

        with m.Switch(region):
            for name, shape in shapes.items():
                with m.Case(name):
                    m.d.comb += [
                        exists.eq(request.bank < shape.banks),
                        depth.eq(shape.depth),
                        word_bytes.eq(shape.word_bytes),
                        # A narrow memory may leave anything in the bits above its width.
                        read_word.eq(memory.read_data[: shape.width]),
                    ]

        m.d.comb += [
            memory.region.eq(request.region),
            memory.bank.eq(request.bank),
            memory.address.eq(address),
            memory.write_data.eq(word),
            control.run.eq(run),
            crc.data.eq(word[:8]),
        ]

        def answer(code: Status) -> None:
            """Reply with ``code`` once the rest of the request has passed."""
            m.d.sync += status.eq(code)
            with m.If(has_data):
                m.next = "DRAIN"
            with m.Else():
                m.next = "ANSWER"

        def shift_word(next_state: str, final_state: str) -> None:
            """Leave a byte of ``word`` behind; after its last, go on to the next word or finish."""
            m.d.sync += [word.eq(word >> 8), word_index.eq(word_index + 1)]
            with m.If(word_done):
                m.d.sync += [
                    word_index.eq(0),
                    address.eq(address + 1),
                    words_left.eq(words_left - 1),
                ]
                m.next = next_state
                with m.If(words_left == 1):
                    m.next = final_state

        in_session = has_session & (request.session == session)
        # In place of another session, or of none, or of just the one that the host believes to be in.
        adoptable = op.matches(Op.IDENTIFY) & (
            (request.bank != 1) | (has_session & (request.address == session))
        )
        for_memory = op.matches(Op.WRITE, Op.READ, Op.CHECKSUM)
        needs_idle = op.matches(Op.READ, Op.CHECKSUM) | (
            op.matches(Op.WRITE) & region.matches(Region.PROGRAM)
        )

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    status.eq(Status.OK),
                    reply_length.eq(0),
                    source.eq(Source.STORED),
                    identity_index.eq(0),
                    has_data.eq(~self.i.p.last),
                    word.eq(0),
                    word_index.eq(0),
                ]
                with m.If(self.i.valid):
                    m.d.sync += [
                        request.eq(Cat(request.as_value()[8:], self.i.p.data)),
                        byte_count.eq(byte_count + 1),
                    ]
                    with m.If(byte_count == Request.size // 8 - 1):
                        m.d.sync += byte_count.eq(0)
                        m.next = "DISPATCH"
                    with m.Elif(self.i.p.last):
                        m.d.sync += byte_count.eq(0)

            with m.State("DISPATCH"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [
                    address.eq(request.address),
                    words_left.eq(Mux(op.matches(Op.CHECKSUM), request.length, 0)),
                    bytes_left.eq(request.length),
                ]
                with m.If(~op.matches(*Op)):
                    answer(Status.UNKNOWN_OP)
                with m.Elif(~in_session & ~adoptable):
                    answer(Status.WRONG_SESSION)
                with m.Elif(has_data & ~op.matches(Op.WRITE, Op.RUN)):
                    answer(Status.LENGTH)
                with m.Elif(needs_idle & control.running):
                    answer(Status.BUSY)
                with m.Elif(for_memory & ~exists):
                    answer(Status.RANGE)
                with m.Else(), m.Switch(op):
                    with m.Case(Op.IDENTIFY):
                        m.d.sync += [
                            session.eq(request.session),
                            has_session.eq(1),
                            has_tag.eq(has_tag & in_session),
                            source.eq(Source.IDENTITY),
                            reply_length.eq(Identity.size // 8),
                        ]
                        m.next = "ANSWER"
                    with m.Case(Op.WRITE, Op.READ):
                        with m.If(request.length > MAX_DATA_BYTES):
                            answer(Status.LENGTH)
                        with m.Else():
                            m.next = "COUNT"
                    with m.Case(Op.CHECKSUM):
                        m.next = "CHECK_RANGE"
                    with m.Case(Op.RUN):
                        with m.If(has_data & (request.length == Run.size // 8)):
                            m.next = "RUN_DATA"
                        with m.Else():
                            answer(Status.LENGTH)
                    with m.Case(Op.STATUS):
                        m.d.sync += [
                            stored.eq(report),
                            reply_length.eq(StatusReport.size // 8),
                        ]
                        m.next = "ANSWER"
                    with m.Case(Op.RESET):
                        m.d.comb += [control.abort.eq(1), control.clear.eq(1)]
                        m.d.sync += [
                            has_session.eq(0),
                            has_tag.eq(0),
                            tag.eq(0),
                            active.eq(0),
                            done.eq(0),
                            bad_frames.eq(0),
                            lost_bytes.eq(0),
                        ]
                        m.next = "ANSWER"

            with m.State("COUNT"):
                m.d.sync += [
                    bytes_left.eq(bytes_left - word_bytes),
                    words_left.eq(words_left + 1),
                ]
                with m.If(bytes_left == 0):
                    m.d.sync += words_left.eq(words_left)
                    with m.If(op.matches(Op.READ)):
                        m.next = "CHECK_RANGE"
                    with m.Elif(has_data != (words_left != 0)):
                        answer(Status.LENGTH)
                    with m.Elif(has_data):
                        m.next = "WRITE_DATA"
                    with m.Else():
                        m.next = "ANSWER"
                with m.Elif(bytes_left < word_bytes):
                    answer(Status.LENGTH)

            with m.State("WRITE_DATA"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        word.word_select(word_index, 8).eq(self.i.p.data),
                        word_index.eq(word_index + 1),
                        has_data.eq(~self.i.p.last),
                    ]
                    with m.If(word_done):
                        m.d.sync += word_index.eq(0)
                        m.next = "WRITE_WORD"
                    with m.Elif(self.i.p.last):
                        m.d.sync += status.eq(Status.LENGTH)
                        m.next = "ANSWER"

            with m.State("WRITE_WORD"):
                outside = address >= depth
                m.d.comb += [memory.valid.eq(~outside), memory.write.eq(1)]
                with m.If(outside):
                    m.d.sync += status.eq(Status.RANGE)
                with m.If(outside | memory.ready):
                    m.d.sync += [
                        word.eq(0),
                        address.eq(address + 1),
                        words_left.eq(words_left - 1),
                    ]
                    with m.If(has_data != (words_left != 1)):
                        answer(Status.LENGTH)
                    with m.Elif(has_data):
                        m.next = "WRITE_DATA"
                    with m.Else():
                        m.next = "ANSWER"

            with m.State("CHECK_RANGE"):
                with m.If(address + words_left > depth):
                    m.d.sync += status.eq(Status.RANGE)
                    m.next = "ANSWER"
                with m.Elif(op.matches(Op.READ)):
                    m.d.sync += [source.eq(Source.MEMORY), reply_length.eq(request.length)]
                    m.next = "ANSWER"
                with m.Else():
                    m.d.sync += reply_length.eq(CRC32.crc_width // 8)
                    with m.If(words_left == 0):
                        m.next = "CHECKSUM"
                    with m.Else():
                        m.next = "READ_REQUEST"

            with m.State("READ_REQUEST"):
                m.d.comb += memory.valid.eq(1)
                with m.If(memory.ready):
                    m.next = "READ_WAIT"
            with m.State("READ_WAIT"):
                m.d.sync += word.eq(read_word)
                with m.If(memory.read_valid):
                    m.next = "READ_CRC"
                    with m.If(op.matches(Op.READ)):
                        m.next = "READ_SEND"
            with m.State("READ_SEND"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(word[:8]),
                    self.o.p.last.eq(word_done & (words_left == 1)),
                ]
                with m.If(self.o.ready):
                    shift_word("READ_REQUEST", "HEADER")
            with m.State("READ_CRC"):
                m.d.comb += crc.valid.eq(1)
                shift_word("READ_REQUEST", "CHECKSUM")
            with m.State("CHECKSUM"):
                m.d.sync += stored.eq(crc.crc)
                m.next = "ANSWER"

            with m.State("RUN_DATA"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        run.eq(Cat(run.as_value()[8:], self.i.p.data)),
                        byte_count.eq(byte_count + 1),
                        has_data.eq(~self.i.p.last),
                    ]
                    with m.If((byte_count == Run.size // 8 - 1) & self.i.p.last):
                        m.d.sync += byte_count.eq(0)
                        m.next = "START"
                    with m.Elif((byte_count == Run.size // 8 - 1) | self.i.p.last):
                        m.d.sync += [byte_count.eq(0), status.eq(Status.LENGTH)]
                        m.next = "DRAIN"
                        with m.If(self.i.p.last):
                            m.next = "ANSWER"
            with m.State("START"):
                m.next = "ANSWER"
                with m.If(~has_tag | (run.tag != tag)):
                    with m.If(control.running):
                        m.d.sync += status.eq(Status.BUSY)
                    with m.Else():
                        m.d.comb += control.start.eq(1)
                        m.d.sync += [tag.eq(run.tag), has_tag.eq(1), active.eq(1), done.eq(0)]

            with m.State("DRAIN"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.p.last):
                    m.next = "ANSWER"

            with m.State("ANSWER"):
                m.d.sync += [
                    reply.op.eq(request.op),
                    reply.seq.eq(request.seq),
                    reply.session.eq(request.session),
                    reply.status.eq(status),
                    reply.running.eq(control.running),
                    reply.length.eq(reply_length),
                    header_left.eq(Reply.size // 8 - 1),
                ]
                m.next = "SEND_HEADER"
            with m.State("SEND_HEADER"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(reply.as_value()[:8]),
                    self.o.p.last.eq((header_left == 0) & (reply_length == 0)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += [
                        reply.eq(reply.as_value() >> 8),
                        header_left.eq(header_left - 1),
                    ]
                    with m.If(self.o.p.last):
                        m.next = "HEADER"
                    with m.Elif(header_left == 0):
                        m.next = "SEND_STORED"
                        with m.If(source == Source.MEMORY):
                            m.next = "READ_REQUEST"
            with m.State("SEND_STORED"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(stored[:8]),
                    self.o.p.last.eq(reply_length == 1),
                ]
                with m.If(source == Source.IDENTITY):
                    identity_bits = Value.cast(self.identity)
                    m.d.comb += self.o.p.data.eq(identity_bits.word_select(identity_index, 8))
                with m.If(self.o.ready):
                    m.d.sync += [
                        stored.eq(stored >> 8),
                        identity_index.eq(identity_index + 1),
                        reply_length.eq(reply_length - 1),
                    ]
                    with m.If(self.o.p.last):
                        m.next = "HEADER"

        return m
