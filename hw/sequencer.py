"""Walk the layers of a program and say, each cycle, which words meet in the array."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .beat import beat_layout
from .bus import MemoryBus, RunControl
from .config import ArrayConfig
from .memory import BankReader, BlockMemory
from .protocol import LEVELS, Instruction, Run

__all__ = ["Sequencer", "Timing"]

_WORD, _ROW, _PLANE, _WINDOW_X, _WINDOW_Y, _TILE, _X, _Y = range(len(LEVELS))
#: Levels whose loops add up to one sum, and those that max-pooling joins.
_SUM = slice(_WORD, _PLANE + 1)
_WINDOW = slice(_WINDOW_X, _WINDOW_Y + 1)
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
        finish = drain_cycles + config.cols // config.tile_cols
        return Timing(
            turnaround=max(_FETCH_CYCLES, drain_cycles) + 1,
            finish=finish,
            overhead=_FETCH_CYCLES + 1 + finish + 1,
        )


class Sequencer(wiring.Component):
    """Run a program of layer instructions, once a pass.

    A layer is a nest of loops (:data:`~xnorgrid.hw.protocol.LEVELS`); each iteration of the innermost is
    a beat. One beat is given a cycle, except that two results to be packed are kept
    :attr:`ArrayConfig.pack_cycles` apart. Weights follow one another in memory: a sum takes the words
    from its tile's first word on, every window and plane takes the same words again, the next tile goes on
    behind them, and every position starts at the layer's first word. A tile has one preset word a plane.
    A layer starts when the results of the one before are in memory.

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
    begin, output_base, output_words, output_row_step : Out
        For :class:`PackerControl`: a layer begins.
    """

    def __init__(self, config: ArrayConfig, drain_cycles: int) -> None:
        self.config = config
        self.drain_cycles = drain_cycles
        self._program_data = Signal(32)
        super().__init__(
            {
                "control": In(RunControl()),
                "memory": In(MemoryBus(config)),
                "beat": Out(beat_layout(config)),
                "begin": Out(1),
                "output_base": Out(16),
                "output_words": Out(16),
                "output_row_step": Out(16),
            }
        )

    @property
    def timing(self) -> Timing:
        """Cycles in which a run does not work on a layer."""
        return Timing.of(self.config, self.drain_cycles)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        instruction = Signal(Instruction)
        fetch_address = self._program(m)

        # Position in the loop nest.
        counts = [Signal(16, name=f"{level}_count") for level in LEVELS]
        ends = Signal(len(LEVELS))
        m.d.comb += ends.eq(Cat(counts[k] == instruction.count[k] for k in range(len(LEVELS))))
        sum_first = (counts[_WORD] == 0) & (counts[_ROW] == 0)
        sum_end, window_end = ends[_SUM].all(), ends[_WINDOW].all()
        activation, weight, preset = Signal(16), Signal(16), Signal(16)
        tile_weight, tile_preset = Signal(16), Signal(16)  # first words of the tile

        # A score's bits after its sign, and what its last bit ends.
        score_left = Signal(8)
        score_ends = Signal(len(LEVELS))

        beat = Signal(beat_layout(self.config))
        m.d.sync += self.beat.eq(beat)
        accumulate, result = beat.accumulate, beat.result
        m.d.comb += [
            beat.weight_address.eq(weight),
            beat.activation_address.eq(activation),
            beat.preset_address.eq(preset),
            accumulate.first.eq(sum_first & (counts[_PLANE] == 0)),
            accumulate.double.eq(sum_first & (counts[_PLANE] != 0)),
            result.window_first.eq((counts[_WINDOW_X] == 0) & (counts[_WINDOW_Y] == 0)),
            result.window_last.eq(window_end),
            result.position_end.eq(ends[_TILE] & (instruction.score_bits == 0)),
            result.row_end.eq(ends[_X]),
            self.output_words.eq(instruction.output_words),
            self.output_row_step.eq(instruction.output_row_step),
        ]

        pack_wait = Signal(range(self.config.pack_cycles))
        drain = Signal(range(self.timing.finish + 1))
        for timer in (pack_wait, drain):
            with m.If(timer != 0):
                m.d.sync += timer.eq(timer - 1)
        with m.If(result.valid & result.window_last):
            m.d.sync += pack_wait.eq(self.config.pack_cycles - 1)

        # Passes.
        run = Signal(Run)
        passes_done = Signal(16)
        input_offset, output_offset = Signal(16), Signal(16)
        pass_end = Signal()
        lanes = Signal(32)
        with m.If(result.valid & (score_left == 0)):
            m.d.comb += lanes.eq(
                Mux(ends[_TILE], instruction.last_tile_lanes, instruction.tile_lanes)
            )
        idle = Signal()
        counting = self._counters(m, ~idle, accumulate.valid, lanes, pass_end, run.columns)
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
                m.d.comb += pass_end.eq(1)
                m.d.sync += [
                    passes_done.eq(passes_done + 1),
                    input_offset.eq(input_offset + run.input_stride),
                    output_offset.eq(output_offset + run.output_stride),
                ]
                with m.If(passes_done == run.passes):
                    finish()
                with m.Else():
                    fetch(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += idle.eq(1)
                with m.If(self.control.start):
                    m.d.sync += [
                        run.eq(self.control.run),
                        passes_done.eq(0),
                        input_offset.eq(0),
                        output_offset.eq(0),
                    ]
                    fetch(0)

            with m.State("FETCH"):
                m.d.sync += fetched.eq(fetched + 1)
                with m.If(fetched < _INSTRUCTION_WORDS):
                    m.d.sync += fetch_address.eq(fetch_address + 1)
                with m.If(fetched >= BlockMemory.latency):
                    m.d.sync += instruction.eq(Cat(instruction.as_value()[32:], self._program_data))
                with m.If(fetched == _FETCH_CYCLES - 1):
                    m.next = "BEGIN"
                with m.If(self.control.abort):
                    finish()

            with m.State("BEGIN"):
                base, offset = instruction.activation_base, instruction.pass_input
                m.d.comb += self.output_base.eq(
                    instruction.output_base + Mux(instruction.pass_output, output_offset, 0)
                )
                with m.If(drain == 0):
                    m.d.comb += self.begin.eq(1)
                    m.d.sync += [count.eq(0) for count in counts]
                    m.d.sync += [
                        activation.eq(base + Mux(offset, input_offset, 0)),
                        weight.eq(instruction.weight_base),
                        tile_weight.eq(instruction.weight_base),
                        preset.eq(instruction.preset_base),
                        tile_preset.eq(instruction.preset_base),
                    ]
                    m.next = "BEATS"
                with m.If(self.control.abort):
                    finish()

            with m.State("BEATS"):
                with m.If(~(sum_end & window_end) | (pack_wait == 0)):
                    m.d.comb += [accumulate.valid.eq(1), result.valid.eq(sum_end)]
                    self._advance(m, instruction, counts, ends, activation)
                    with m.If(ends[:_TILE].all() & ends[_TILE]):
                        m.d.sync += [
                            weight.eq(instruction.weight_base),
                            tile_weight.eq(instruction.weight_base),
                            preset.eq(instruction.preset_base),
                            tile_preset.eq(instruction.preset_base),
                        ]
                    with m.Elif(ends[:_TILE].all()):
                        m.d.sync += [
                            weight.eq(weight + 1),
                            tile_weight.eq(weight + 1),
                            preset.eq(preset + 1),
                            tile_preset.eq(preset + 1),
                        ]
                    with m.Elif(ends[:_PLANE].all()):
                        m.d.sync += [
                            weight.eq(tile_weight),
                            preset.eq(Mux(sum_end, tile_preset, preset + 1)),
                        ]
                    with m.Else():
                        m.d.sync += weight.eq(weight + 1)
                    with m.If(sum_end & (instruction.score_bits != 0)):
                        m.d.sync += [score_left.eq(instruction.score_bits), score_ends.eq(ends)]
                        m.next = "SCORE"
                    with m.Elif(ends.all()):
                        end_layer()
                with m.If(self.control.abort):
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
                    result.position_end.eq(last & score_ends[_TILE]),
                    result.row_end.eq(score_ends[_X]),
                ]
                with m.If(pack_wait == 0):
                    m.d.comb += [accumulate.valid.eq(1), result.valid.eq(1)]
                    m.d.sync += score_left.eq(score_left - 1)
                    with m.If(last & score_ends.all()):
                        end_layer()
                    with m.Elif(last):
                        m.next = "BEATS"
                with m.If(self.control.abort):
                    finish()

            with m.State("FINISH"):
                m.d.sync += score_left.eq(0)
                with m.If((drain == 0) & ~counting):
                    m.next = "IDLE"
        return m

    def _program(self, m: Module) -> Signal:
        """The program memory with its host port; returns the address that the fetch reads."""
        m.submodules.program = program = BlockMemory(
            32, self.config.program_depth * _INSTRUCTION_WORDS
        )
        m.submodules.reader = reader = BankReader(BlockMemory.latency)
        bus = self.memory
        fetch_address = Signal(16)
        m.d.comb += [
            bus.ready.eq(~reader.active),
            program.write.eq(bus.valid & bus.ready & bus.write),
            program.write_address.eq(bus.address),
            program.write_data.eq(bus.write_data),
            reader.request.eq(bus.valid & bus.ready & ~bus.write),
            reader.bank.eq(bus.bank),
            reader.address.eq(bus.address),
            bus.read_valid.eq(reader.valid),
            bus.read_data.eq(program.read_data),
            program.read_address.eq(Mux(reader.active, reader.held_address, fetch_address)),
            self._program_data.eq(program.read_data),
        ]
        return fetch_address

    def _advance(
        self,
        m: Module,
        instruction: data.View[data.StructLayout],
        counts: list[Signal],
        ends: Signal,
        activation: Signal,
    ) -> None:
        """Step to the next beat: the innermost level that is not at its end advances."""
        for level, count in enumerate(counts):
            with m.If(ends[:level].all()):
                m.d.sync += count.eq(Mux(ends[level], 0, count + 1))
                with m.If(~ends[level]):
                    m.d.sync += activation.eq(activation + instruction.step[level])

    def _counters(
        self,
        m: Module,
        running: ValueLike,
        working: ValueLike,
        lanes: Signal,
        pass_end: Signal,
        columns: Signal,
    ) -> Value:
        """Count cycles and useful lanes; returns 1 while a pass's lanes are still being added up.

        A pass's lanes are counted for one column and then multiplied by the columns in use, a bit a cycle.
        """
        control = self.control
        pass_lanes, term, factor, multiply = Signal(64), Signal(64), Signal(17), Signal()
        m.d.comb += control.running.eq(running)
        m.d.sync += [
            control.busy_cycles.eq(control.busy_cycles + running),
            control.stalled_cycles.eq(control.stalled_cycles + (running & ~working)),
            pass_lanes.eq(pass_lanes + lanes),
            multiply.eq(pass_end),
        ]
        with m.If(multiply):
            m.d.sync += [term.eq(pass_lanes), factor.eq(columns + 1), pass_lanes.eq(0)]
        with m.Elif(factor != 0):
            m.d.sync += [
                control.useful_lanes.eq(control.useful_lanes + Mux(factor[0], term, 0)),
                term.eq(term << 1),
                factor.eq(factor >> 1),
            ]
        with m.If(control.clear):
            m.d.sync += [
                control.busy_cycles.eq(0),
                control.stalled_cycles.eq(0),
                control.useful_lanes.eq(0),
                pass_lanes.eq(0),
                factor.eq(0),
            ]
        return multiply | (factor != 0)
