"""Requests to memory accesses, runs and replies."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import MemoryBus, Packet, RunControl
from .config import ArrayConfig
from .crc import CRC_BYTES, Crc32
from .header import RequestHeader
from .protocol import Identity, Op, Region, Reply, Request, Run, Status, StatusReport
from .regions import at_least, region_shapes
from .report import EventCounter, IdentityBytes, StatusBytes
from .word import WordRegister

__all__ = ["Commander"]

_HEADER_BYTES = Request.size // 8
_REPLY_BYTES = Reply.size // 8
_RUN_BYTES = Run.size // 8
assert sorted(op.value for op in Op) == list(range(1, 8))


class Commander(wiring.Component):
    """Carry out each request of the protocol and answer it with exactly one reply.

    Takes one request at a time: the next one is read when the reply has been taken. A
    request's bytes are taken one per cycle, a written word costs one more and what the memory makes it
    wait. Data to read follows at ``word_bytes + 2`` cycles plus the memory's latency per word, and a
    checksum takes ``8 / crc_bits`` cycles a byte, and as much besides.

    Nothing is done on behalf of a request that is not answered OK, except that a WRITE with the wrong amount
    of data writes the words that came before that showed. An IDENTIFY that changes the session also forgets
    the tag of the last run, so that a run of a new session is never taken for a repetition.

    Parameters
    ----------
    config : ArrayConfig
        The array behind ``memory`` and ``control``.
    build : int
        Identity.build.
    crc_bits : int
        Bits of a checksum a cycle.

    Members
    -------
    i : In(stream.Signature(Packet))
        Requests, each at least a header long.
    o : Out(stream.Signature(Packet))
        Replies.
    memory : Out(MemoryBus(config))
        The memories. All but ``valid`` and ``write`` come from registers.
    control : Out(RunControl())
        The sequencer. ``run`` stays as it is while a run goes on.
    bad_frame : In(1)
        1 for one cycle for each dropped frame, to be counted.
    lost_byte : In(1)
        1 for one cycle for each lost byte, to be counted.
    """

    def __init__(self, config: ArrayConfig, build: int = 0, *, crc_bits: int = 8) -> None:
        self.config = config
        self.build = build
        self.crc_bits = crc_bits
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control, memory = self.control, self.memory
        m.submodules.header = header = RequestHeader(self.config)
        m.submodules.word = word = WordRegister(self.config)
        m.submodules.checksum = checksum = Crc32(self.crc_bits)
        m.submodules.identity = identity = IdentityBytes(self.config, self.build)
        m.submodules.report = report = StatusBytes()
        m.submodules.bad_frames = bad_frames = EventCounter()
        m.submodules.lost_bytes = lost_bytes = EventCounter()

        # Once the operation was found to exist, its low bits tell which it is.
        op = header.op[:3]
        unknown_op = (op == 0) | header.op[len(op) :].any()

        def is_op(*ops: Op) -> Value:
            return op.matches(*(known.value for known in ops))

        # What outlives a request.
        session = Signal(16, reset_less=True)
        has_session = Signal()
        tag = Signal(16)
        has_tag = Signal()
        started = Signal()
        run = Signal(Run.size, reset_less=True)

        # What was found out about the request, valid from the state after CHECK on.
        in_session = Signal()
        names_session = Signal()
        same_tag = Signal()
        beyond = Signal()
        m.d.sync += [
            in_session.eq(has_session & (header.session == session)),
            names_session.eq(has_session & (header.address == session)),
            same_tag.eq(has_tag & (header.address == tag)),
        ]
        last_address = header.address + header.length
        with m.Switch(header.region):
            for region, shape in region_shapes(self.config).items():
                with m.Case(Region(region).value):
                    m.d.sync += beyond.eq(
                        header.no_region
                        | at_least(header.bank, shape.banks)
                        | at_least(last_address, shape.depth)
                    )

        status = Signal(Status)
        running = Signal()
        # Of the byte at hand in a header, a run, a reply, a report or a checksum; else 0.
        index = Signal(8)
        last_word = header.length == 0
        m.d.comb += [
            header.index.eq(index),
            header.byte.eq(self.i.p.data),
            word.region.eq(header.region),
            word.word_in.eq(memory.read_data),
            word.byte_in.eq(self.i.p.data),
            checksum.i.payload.eq(word.byte),
            identity.index.eq(index),
            report.index.eq(index),
            memory.region.eq(header.region),
            memory.bank.eq(header.bank),
            memory.address.eq(header.address),
            memory.write_data.eq(word.word),
            control.run.eq(run),
            bad_frames.event.eq(self.bad_frame),
            lost_bytes.event.eq(self.lost_byte),
            report.report.tag.eq(tag),
            report.report.running.eq(running),
            report.report.done.eq(started & ~running),
            report.report.busy_cycles.eq(control.busy_cycles),
            report.report.stalled_cycles.eq(control.stalled_cycles),
            report.report.useful_lanes.eq(control.useful_lanes),
            report.report.bad_frames.eq(bad_frames.count),
            report.report.lost_bytes.eq(lost_bytes.count),
        ]

        # Replies leave through a register, which on a slow line parts us from what ``ready`` depends on.
        reply = stream.Signature(Packet).create()
        m.d.comb += reply.ready.eq(~self.o.valid | (self.o.ready if self.crc_bits == 8 else 0))
        with m.If(reply.ready):
            m.d.sync += [self.o.valid.eq(reply.valid), self.o.payload.eq(reply.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        sent = reply.valid & reply.ready

        def next_byte() -> None:
            m.d.sync += index.eq(index + 1)

        def go(state: str) -> None:
            m.d.sync += index.eq(0)
            m.next = state

        def refuse(code: Status) -> None:
            m.d.sync += status.eq(code)
            m.next = "DRAIN"

        def next_word(final: str) -> None:
            m.d.comb += header.next_word.eq(1)
            m.next = "READ"
            with m.If(last_word):
                m.next = final

        single_port = (
            Region.WEIGHTS.value if self.config.weight_ports == 1 else Region.PROGRAM.value
        )
        needs_idle = is_op(Op.READ, Op.CHECKSUM) | (
            is_op(Op.WRITE) & header.region.matches(Region.PROGRAM.value, single_port)
        )

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [self.i.ready.eq(1), header.take.eq(self.i.valid)]
                m.d.sync += status.eq(Status.OK)
                with m.If(self.i.valid):
                    next_byte()
                    with m.If(index == _HEADER_BYTES - 1):
                        go("CHECK")

            with m.State("CHECK"):
                m.d.comb += [checksum.clear.eq(1), word.begin.eq(1)]
                m.next = "DISPATCH"
            with m.State("DISPATCH"):
                m.next = "DRAIN"
                with m.If(unknown_op):
                    refuse(Status.UNKNOWN_OP)
                with m.Elif(
                    ~in_session & ~(is_op(Op.IDENTIFY) & ((header.bank != 1) | names_session))
                ):
                    refuse(Status.WRONG_SESSION)
                with m.Elif(is_op(Op.WRITE, Op.READ, Op.CHECKSUM) & beyond):
                    refuse(Status.RANGE)
                with m.Elif(control.running & (needs_idle | (is_op(Op.RUN) & ~same_tag))):
                    refuse(Status.BUSY)
                with m.Elif(is_op(Op.WRITE)):
                    m.next = "DATA"
                with m.Elif(is_op(Op.RUN)):
                    m.next = "RUN"

            with m.State("DATA"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    word.shift.eq(self.i.valid),
                ]
                with m.If(self.i.valid):
                    with m.If(self.i.p.end):
                        m.d.sync += status.eq(Status.LENGTH)
                        m.next = "ACT"
                    with m.Elif(word.last):
                        m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [memory.valid.eq(1), memory.write.eq(1)]
                with m.If(memory.ready):
                    m.d.comb += header.next_word.eq(1)
                    m.next = "DATA"
                    with m.If(last_word):
                        m.next = "DRAIN"

            with m.State("RUN"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    next_byte()
                    # A repetition must not change what a run that goes on was told.
                    with m.If(~control.running & ~self.i.p.end):
                        m.d.sync += run.eq(Cat(run[8:], self.i.p.data))
                    with m.If(self.i.p.end):
                        with m.If(index != _RUN_BYTES):
                            m.d.sync += status.eq(Status.LENGTH)
                        go("ACT")
                    with m.Elif(index == _RUN_BYTES):
                        refuse(Status.LENGTH)

            with m.State("DRAIN"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    with m.If(self.i.p.end):
                        go("ACT")
                    with m.Elif(status == Status.OK):
                        m.d.sync += status.eq(Status.LENGTH)

            with m.State("ACT"):
                m.next = "ANSWER"
                with m.If(status == Status.OK), m.Switch(op):
                    with m.Case(Op.IDENTIFY.value):
                        m.d.sync += [
                            session.eq(header.session),
                            has_session.eq(1),
                            has_tag.eq(has_tag & in_session),
                        ]
                    with m.Case(Op.CHECKSUM.value):
                        m.next = "READ"
                    with m.Case(Op.RUN.value), m.If(~same_tag):
                        m.d.comb += control.start.eq(1)
                        m.d.sync += [tag.eq(header.address), has_tag.eq(1), started.eq(1)]
                    with m.Case(Op.RESET.value):
                        m.d.comb += [
                            control.abort.eq(1),
                            control.clear.eq(1),
                            bad_frames.clear.eq(1),
                            lost_bytes.clear.eq(1),
                        ]
                        m.d.sync += [has_session.eq(0), has_tag.eq(0), tag.eq(0), started.eq(0)]

            with m.State("ANSWER"):
                m.d.sync += running.eq(control.running)
                m.next = "REPLY"
            with m.State("REPLY"):
                m.d.comb += [reply.valid.eq(1), reply.p.data.eq(header.op)]
                with m.If(index == _REPLY_BYTES - 2):
                    m.d.comb += reply.p.data.eq(status)
                with m.If(index == _REPLY_BYTES - 1):
                    m.d.comb += reply.p.data.eq(running)
                with m.If(sent):
                    next_byte()
                    m.d.comb += header.rotate.eq(index < _REPLY_BYTES - 2)
                    with m.If(index == _REPLY_BYTES - 1):
                        go("END")
                        with m.If(status == Status.OK), m.Switch(op):
                            with m.Case(Op.IDENTIFY.value, Op.STATUS.value):
                                m.next = "LOOK_UP"
                            with m.Case(Op.READ.value):
                                m.next = "READ"
                            with m.Case(Op.CHECKSUM.value):
                                m.next = "SUM"
            with m.State("LOOK_UP"):
                m.next = "TELL"
            with m.State("TELL"):
                is_status = is_op(Op.STATUS)
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.p.data.eq(Mux(is_status, report.byte, identity.byte)),
                ]
                with m.If(sent):
                    next_byte()
                    m.next = "LOOK_UP"
                    with m.If(
                        index == Mux(is_status, StatusReport.size // 8 - 1, Identity.size // 8 - 1)
                    ):
                        go("END")

            with m.State("READ"):
                m.d.comb += memory.valid.eq(1)
                with m.If(memory.ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += word.load.eq(1)
                with m.If(memory.read_valid):
                    m.next = "SEND"
                    with m.If(is_op(Op.CHECKSUM)):
                        m.next = "ADD"
            with m.State("SEND"):
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.p.data.eq(word.byte),
                    word.shift.eq(sent),
                ]
                with m.If(sent & word.last):
                    next_word("END")
            with m.State("ADD"):
                m.d.comb += [checksum.i.valid.eq(1), word.shift.eq(checksum.i.ready)]
                with m.If(checksum.i.ready & word.last):
                    next_word("ANSWER")

            with m.State("SUM"):
                m.d.comb += [reply.valid.eq(1), reply.p.data.eq(checksum.byte)]
                with m.If(sent):
                    m.next = "SHIFT_SUM"
            with m.State("SHIFT_SUM"):
                m.d.comb += checksum.shift.eq(1)
                with m.If(checksum.i.ready):
                    next_byte()
                    m.next = "SUM"
                    with m.If(index == CRC_BYTES - 1):
                        go("END")

            with m.State("END"):
                m.d.comb += [reply.valid.eq(1), reply.p.end.eq(1)]
                with m.If(sent):
                    m.next = "HEADER"

        return m
