"""Walk the layers of a program and say, each cycle, which words meet in the array."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import beat_layout
from .bus import MemoryBus, RunControl
from .config import ArrayConfig
from .counters import RunCounters
from .memory import BankReader, BlockMemory
from .nest import LoopNest, Position
from .protocol import Instruction, Run

__all__ = ["Sequencer", "Timing"]

_INSTRUCTION_WORDS = Instruction.size // 32
_FETCH_CYCLES = _INSTRUCTION_WORDS + BlockMemory.latency


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
        finish = drain_cycles + config.grid_cols
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
        fetch_address, fetched_word = self._program(m)
        instruction, position = Signal(Instruction), nest.position
        run = Signal(Run)
        passes_done = Signal(16)
        output_offset = Signal(16)
        m.d.comb += [
            nest.instruction.eq(instruction),
            self.begin.eq(nest.begin),
            self.output_base.eq(
                instruction.output_base + Mux(instruction.pass_output, output_offset, 0)
            ),
            self.output_words.eq(instruction.output_words),
            self.output_step.eq(instruction.output_step),
            self.output_row_step.eq(instruction.output_row_step),
        ]

        # A score's bits after its sign, and where in the nest its sign was.
        score_left = Signal(8)
        score_position = Signal(Position)

        beat = Signal(beat_layout(self.config))
        m.d.sync += self.beat.eq(beat)
        accumulate, result = beat.accumulate, beat.result
        m.d.comb += [
            beat.weight_address.eq(nest.weight),
            beat.activation_address.eq(nest.activation),
            beat.preset_address.eq(nest.preset),
            accumulate.first.eq(position.sum_first),
            accumulate.double.eq(position.plane_first),
            result.window_first.eq(position.window_first),
            result.window_last.eq(position.window_end),
            result.position_end.eq(position.tile_end & (instruction.score_bits == 0)),
            result.row_end.eq(position.row_end),
        ]

        pack_wait = Signal(range(self.config.pack_cycles))
        drain = Signal(range(self.timing.finish + 1))
        for timer in (pack_wait, drain):
            with m.If(timer != 0):
                m.d.sync += timer.eq(timer - 1)
        with m.If(result.valid & result.window_last):
            m.d.sync += pack_wait.eq(self.config.pack_cycles - 1)

        control = self.control
        idle = Signal()
        m.d.comb += [
            control.running.eq(~idle),
            counters.running.eq(~idle),
            counters.working.eq(accumulate.valid),
            counters.columns.eq(run.columns),
            counters.clear.eq(control.clear),
            control.busy_cycles.eq(counters.busy_cycles),
            control.stalled_cycles.eq(counters.stalled_cycles),
            control.useful_lanes.eq(counters.useful_lanes),
        ]
        with m.If(result.valid & (score_left == 0)):
            tile_lanes = Mux(position.tile_end, instruction.last_tile_lanes, instruction.tile_lanes)
            m.d.comb += counters.lanes.eq(tile_lanes)

        fetched = Signal(range(_FETCH_CYCLES + 1))

        def fetch(address: ValueLike) -> None:
            m.d.sync += [fetch_address.eq(address), fetched.eq(0)]
            m.next = "FETCH"

        def finish() -> None:
            m.d.sync += drain.eq(self.timing.finish)
            m.next = "FINISH"

        def end_layer() -> None:
            m.d.sync += drain.eq(self.drain_cycles)
            with m.If(~instruction.last):
                fetch(fetch_address)
            with m.Else():
                m.d.comb += counters.pass_end.eq(1)
                m.d.sync += [
                    passes_done.eq(passes_done + 1),
                    nest.input_offset.eq(nest.input_offset + run.input_stride),
                    output_offset.eq(output_offset + run.output_stride),
                ]
                with m.If(passes_done == run.passes):
                    finish()
                with m.Else():
                    fetch(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += idle.eq(1)
                with m.If(control.start):
                    m.d.sync += [
                        run.eq(control.run),
                        passes_done.eq(0),
                        nest.input_offset.eq(0),
                        output_offset.eq(0),
                    ]
                    fetch(0)

            with m.State("FETCH"):
                m.d.sync += fetched.eq(fetched + 1)
                with m.If(fetched < _INSTRUCTION_WORDS):
                    m.d.sync += fetch_address.eq(fetch_address + 1)
                with m.If(fetched >= BlockMemory.latency):
                    m.d.sync += instruction.eq(Cat(instruction.as_value()[32:], fetched_word))
                with m.If(fetched == _FETCH_CYCLES - 1):
                    m.next = "BEGIN"
                with m.If(control.abort):
                    finish()

            with m.State("BEGIN"):
                with m.If(drain == 0):
                    m.d.comb += nest.begin.eq(1)
                    m.next = "BEATS"
                with m.If(control.abort):
                    finish()

            with m.State("BEATS"):
                with m.If(~(position.sum_end & position.window_end) | (pack_wait == 0)):
                    m.d.comb += [
                        nest.step.eq(1),
                        accumulate.valid.eq(1),
                        result.valid.eq(position.sum_end),
                    ]
                    with m.If(position.sum_end & (instruction.score_bits != 0)):
                        m.d.sync += [
                            score_left.eq(instruction.score_bits),
                            score_position.eq(position),
                        ]
                        m.next = "SCORE"
                    with m.Elif(position.layer_end):
                        end_layer()
                with m.If(control.abort):
                    finish()

            with m.State("SCORE"):
                last = score_left == 1
                m.d.comb += [
                    # Word 0 of both memories is zero: nothing is added to the doubled sum.
                    beat.weight_address.eq(0),
                    beat.activation_address.eq(0),
                    accumulate.first.eq(0),
                    accumulate.double.eq(1),
                    result.window_first.eq(1),
                    result.window_last.eq(1),
                    result.position_end.eq(last & score_position.tile_end),
                    result.row_end.eq(score_position.row_end),
                ]
                with m.If(pack_wait == 0):
                    m.d.comb += [accumulate.valid.eq(1), result.valid.eq(1)]
                    m.d.sync += score_left.eq(score_left - 1)
                    with m.If(last & score_position.layer_end):
                        end_layer()
                    with m.Elif(last):
                        m.next = "BEATS"
                with m.If(control.abort):
                    finish()

            with m.State("FINISH"):
                m.d.sync += score_left.eq(0)
                with m.If((drain == 0) & ~counters.adding):
                    m.next = "IDLE"
        return m

    def _program(self, m: Module) -> tuple[Signal, Signal]:
        """The program memory with its host port; returns the address to fetch and the word from there."""
        m.submodules.program = program = BlockMemory(
            32, self.config.program_depth * _INSTRUCTION_WORDS
        )
        m.submodules.reader = reader = BankReader(BlockMemory.latency)
        bus = self.memory
        reader.serve(m, bus)
        fetch_address = Signal(16)
        m.d.comb += [
            program.write.eq(bus.valid & bus.ready & bus.write),
            program.write_address.eq(bus.address),
            program.write_data.eq(bus.write_data),
            bus.read_data.eq(program.read_data),
            program.read_address.eq(Mux(reader.active, reader.held_address, fetch_address)),
        ]
        return fetch_address, program.read_data
