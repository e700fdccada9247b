"""Walk the layers of a program and say, each cycle, which words meet in the array."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .beat import beat_layout
from .bus import MemoryBus, RunControl
from .config import ArrayConfig
from .counters import RunCounters
from .memory import BlockMemory
from .nest import FIRST_SLOT, SLOTS, LoopNest
from .packer import Result
from .pe import Accumulate
from .pipeline import delayed
from .protocol import Instruction
from .responder import Responder

__all__ = ["Sequencer", "Timing"]

_INSTRUCTION_WORDS = Instruction.size // 32
#: From an instruction's first address until the nest is ready to begin. The last word is there and stays.
_FETCH_CYCLES = _INSTRUCTION_WORDS + BlockMemory.latency + 1
# So a word is there in the cycle that bears its slot's number.
assert BlockMemory.latency == FIRST_SLOT
#: The low half of an instruction's first word.
_Head = data.StructLayout(
    {name: field.shape for name, field in Instruction if field.offset + field.width <= 16}
)
#: Cycles from the decision for a beat to the beat, besides one.
_NEST_CYCLES = 1


@dataclass(frozen=True)
class Timing:
    """Cycles of a run in which the array does not work on a layer."""

    #: Between the last beat of a layer and the first beat of the next.
    turnaround: int
    #: From the last beat of a run until every column's results are in memory.
    finish: int
    #: Of a whole run, before its first beat and after its last.
    overhead: int

    @staticmethod
    def of(config: ArrayConfig, drain_cycles: int) -> Timing:
        """The timing of a :class:`Sequencer` with these parameters."""
        finish = _NEST_CYCLES + drain_cycles + config.grid_cols
        return Timing(
            turnaround=max(_FETCH_CYCLES, drain_cycles) + 1,
            finish=finish,
            overhead=_FETCH_CYCLES + 1 + finish + 1,
        )


class Sequencer(wiring.Component):
    """Run a program of layer instructions, once a pass.

    A layer is a :class:`LoopNest`. One beat is given a cycle, except that two results to be packed are kept
    :attr:`ArrayConfig.pack_cycles` apart. A layer starts when the results of the one before are in memory.

    Between layers the array rests while an instruction is fetched and the last results drain, see
    :attr:`timing`.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    drain_cycles : :class:`int`
        Cycles from a beat to the write of the word that its result completes, in tile column 0.

    Members
    -------
    control : In(RunControl())
    memory : In(MemoryBus(config))
        Host access to region PROGRAM.
    beat : Out(beat_layout(config))
        Its ``accumulate.valid`` is 0 in cycles without a beat.
    begin, output_base, output_words, output_step, output_row_step : Out
        For :class:`PackerControl`: a layer begins.
    """

    def __init__(self, config: ArrayConfig, drain_cycles: int) -> None:
        self.config = config
        self.drain_cycles = drain_cycles
        super().__init__(
            {
                "control": In(RunControl()),
                "memory": In(MemoryBus(config)),
                "beat": Out(beat_layout(config)),
                "begin": Out(1),
                "output_base": Out(16),
                "output_words": Out(16),
                "output_step": Out(16),
                "output_row_step": Out(16),
            }
        )

    @property
    def timing(self) -> Timing:
        """Cycles in which a run does not work on a layer."""
        return Timing.of(self.config, self.drain_cycles)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.nest = nest = LoopNest()
        m.submodules.counters = counters = RunCounters()
        control, position = self.control, nest.position
        fetch_address, word = self._program(m)
        fetched = Signal(range(_FETCH_CYCLES + 1), reset_less=True)
        next_address = Signal.like(fetch_address)
        m.d.comb += next_address.eq(fetch_address + 1)
        run, passes_done = self.control.run, Signal(16, reset_less=True)
        input_offset, output_offset = (Signal(16, reset_less=True) for _ in range(2))
        last, pass_output = (Signal(reset_less=True) for _ in range(2))
        score_bits = Signal(range(self.config.accumulator_bits), reset_less=True)

        # What the nest keeps of an instruction it gets as it is, except for where its input starts.
        low, high = word[:16], word[16:]
        head = data.View(_Head, low)
        is_head, is_output = fetched == FIRST_SLOT, fetched == FIRST_SLOT + 1
        m.d.comb += [
            nest.slot.eq(fetched),
            nest.word.eq(Cat(low, _offset(high, is_head & head.pass_input, input_offset))),
            self.output_words.eq(low),
            self.output_step.eq(high),
        ]
        with m.If(is_head):
            m.d.sync += [
                last.eq(head.last),
                pass_output.eq(head.pass_output),
                score_bits.eq(head.score_bits),
            ]
        with m.If(is_output):
            m.d.sync += [
                self.output_row_step.eq(low),
                self.output_base.eq(_offset(high, pass_output, output_offset)),
            ]

        # The beat in preparation: the nest's addresses come a cycle later.
        accumulate, result = Signal(Accumulate), Signal(Result)
        further, further_of_beat, scoring = (
            Signal(),
            Signal(reset_less=True),
            Signal(reset_less=True),
        )
        last_bit = Signal()
        m.d.comb += [
            accumulate.first.eq(position.sum_first & ~further),
            accumulate.double.eq(position.plane_first | further),
            result.window_first.eq(position.window_first),
            result.window_last.eq(position.window_end),
            result.position_end.eq(position.tile_end & (~scoring | last_bit)),
            result.row_end.eq(position.row_end),
        ]
        m.d.sync += [
            scoring.eq(score_bits != 0),
            further_of_beat.eq(further),
            self.beat.accumulate.eq(delayed(m, accumulate, _NEST_CYCLES)),
            self.beat.result.eq(delayed(m, result, _NEST_CYCLES)),
            self.beat.weight_address.eq(nest.weight),
            self.beat.activation_address.eq(nest.activation),
            self.beat.preset_address.eq(nest.preset),
        ]
        with m.If(further_of_beat):
            # Word 0 of both memories is zero: nothing is added to the doubled sum.
            m.d.sync += [self.beat.weight_address.eq(0), self.beat.activation_address.eq(0)]

        # Cycles until the packer takes the next result, and whether it does now.
        pack_wait, packs = Signal(range(self.config.pack_cycles)), Signal(init=1)
        with m.If(result.valid & result.window_last):
            m.d.sync += [
                pack_wait.eq(self.config.pack_cycles - 1),
                packs.eq(self.config.pack_cycles == 1),
            ]
        with m.Elif(~packs):
            m.d.sync += [pack_wait.eq(pack_wait - 1), packs.eq(pack_wait == 1)]
        # Cycles until the last beat's results are in every column, and whether they are in the first.
        finish = self.timing.finish
        drain, drained = Signal(range(finish + 1)), Signal(reset_less=True)
        m.d.sync += drained.eq(drain <= finish - self.drain_cycles + 1)
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        score_left = Signal.like(score_bits)

        idle, begin = Signal(), Signal()
        m.d.comb += [
            control.running.eq(~idle),
            counters.running.eq(~idle),
            counters.working.eq(accumulate.valid),
            counters.lanes.eq(run.lanes),
            counters.clear.eq(control.clear),
            control.busy_cycles.eq(counters.busy_cycles),
            control.stalled_cycles.eq(counters.stalled_cycles),
            control.useful_lanes.eq(counters.useful_lanes),
        ]
        m.d.sync += self.begin.eq(begin)

        # What is not needed at once is done a cycle later.
        pass_ended, last_pass = Signal(), Signal(reset_less=True)
        m.d.comb += counters.pass_end.eq(pass_ended)
        m.d.sync += [pass_ended.eq(0), last_pass.eq(passes_done == run.passes)]
        with m.If(pass_ended):
            m.d.sync += [
                passes_done.eq(passes_done + 1),
                input_offset.eq(input_offset + run.input_stride),
                output_offset.eq(output_offset + run.output_stride),
            ]

        def end_layer() -> None:
            m.next = "FETCH"
            with m.If(last):
                m.d.sync += pass_ended.eq(1)
                with m.If(last_pass):
                    m.next = "FINISH"

        m.d.comb += nest.start.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += idle.eq(1)
                m.d.sync += [
                    passes_done.eq(0),
                    input_offset.eq(0),
                    output_offset.eq(0),
                    fetch_address.eq(0),
                    fetched.eq(0),
                ]
                with m.If(control.start):
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.comb += nest.write.eq((fetched >= FIRST_SLOT) & (fetched < SLOTS))
                m.d.sync += fetched.eq(fetched + 1)
                with m.If(fetched < _INSTRUCTION_WORDS - 1):
                    m.d.sync += fetch_address.eq(next_address)
                with m.If(fetched == _FETCH_CYCLES - 1):
                    m.next = "BEGIN"
                with m.If(control.abort):
                    m.next = "FINISH"

            with m.State("BEGIN"):
                with m.If(drained):
                    m.d.comb += begin.eq(1)
                    m.d.sync += [fetch_address.eq(Mux(last, 0, next_address)), fetched.eq(0)]
                    m.next = "BEATS"
                with m.If(control.abort):
                    m.next = "FINISH"

            with m.State("BEATS"):
                m.d.comb += nest.start.eq(0)
                m.d.sync += drain.eq(finish)
                with m.If(~(position.sum_end & position.window_end) | packs):
                    m.d.comb += [accumulate.valid.eq(1), result.valid.eq(position.sum_end)]
                    with m.If(position.sum_end & scoring):
                        m.d.sync += score_left.eq(score_bits)
                        m.next = "SCORE"
                    with m.Else():
                        m.d.comb += nest.step.eq(1)
                        with m.If(position.layer_end):
                            end_layer()
                with m.If(control.abort):
                    m.next = "FINISH"

            with m.State("SCORE"):
                m.d.comb += [nest.start.eq(0), further.eq(1), last_bit.eq(score_left == 1)]
                m.d.sync += drain.eq(finish)
                with m.If(packs):
                    m.d.comb += [accumulate.valid.eq(1), result.valid.eq(1)]
                    m.d.sync += score_left.eq(score_left - 1)
                    with m.If(last_bit):
                        m.d.comb += nest.step.eq(1)
                        m.next = "BEATS"
                        with m.If(position.layer_end):
                            end_layer()
                with m.If(control.abort):
                    m.next = "FINISH"

            with m.State("FINISH"), m.If(drain == 0):
                m.next = "IDLE"
        return m

    def _program(self, m: Module) -> tuple[Signal, Signal]:
        """The program memory with its host port; returns the address to fetch and the word from there."""
        m.submodules.program = program = BlockMemory(
            32, self.config.program_depth * _INSTRUCTION_WORDS
        )
        m.submodules.responder = responder = Responder(self.config, BlockMemory.latency)
        connect(m, flipped(self.memory), responder.memory)
        bus = self.memory
        fetch_address = Signal.like(program.read_address, reset_less=True)
        m.d.comb += [
            program.write.eq(responder.store),
            program.write_address.eq(bus.address),
            program.write_data.eq(bus.write_data),
            responder.memory.read_data.eq(program.read_data),
            program.read_address.eq(Mux(responder.reading, bus.address, fetch_address)),
        ]
        return fetch_address, program.read_data


def _offset(word: Value, on: ValueLike, offset: Value) -> Value:
    """``word``, with ``offset`` added if ``on``: one adder, because nobody looks at its carries otherwise."""
    return Mux(on, word + offset, word)
