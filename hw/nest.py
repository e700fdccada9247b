"""The loop nest of a layer: where each beat finds its words."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .protocol import LEVELS, Instruction

__all__ = ["LoopNest", "Position"]

_WORD, _ROW, _PLANE, _WINDOW_X, _WINDOW_Y, _TILE, _X, _Y = range(len(LEVELS))
#: Levels whose loops add up to one sum, and those that max-pooling joins.
_SUM = slice(_WORD, _PLANE + 1)
_WINDOW = slice(_WINDOW_X, _WINDOW_Y + 1)

#: Where in the nest the present beat is.
Position = data.StructLayout(
    {
        "sum_first": 1,  #: first beat of a sum
        "plane_first": 1,  #: first beat of a further plane of a sum
        "sum_end": 1,  #: last beat of a sum
        "window_first": 1,  #: in the first of the positions that max-pooling joins
        "window_end": 1,  #: in the last of them
        "tile_end": 1,  #: in the last tile of output channels
        "row_end": 1,  #: in the last position of a row
        "layer_end": 1,  #: last beat of the layer
    }
)


class LoopNest(wiring.Component):
    """Walk the loops of an instruction (:data:`~xnorgrid.hw.protocol.LEVELS`), a beat a step.

    Weights follow one another in memory: a sum takes the words from its tile's first word on, every window
    and plane takes the same words again, the next tile goes on behind them, and every position starts at
    the layer's first word. A tile has one preset word a plane, the same for every window position; with
    ``window_presets`` the planes of the next window position follow instead.

    Members
    -------
    instruction : In(Instruction)
        Constant from ``begin`` to the layer's last step.
    input_offset : In(16)
        Added to the activation address where the instruction asks for it.
    begin : In(1)
        Go to the layer's first beat.
    step : In(1)
        Go to the next beat; after the last, the first again except for the activation address.
    activation, weight, preset : Out(16)
        Addresses of the present beat's words, and of its plane's preset.
    position : Out(Position)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "instruction": In(Instruction),
                "input_offset": In(16),
                "begin": In(1),
                "step": In(1),
                "activation": Out(16),
                "weight": Out(16),
                "preset": Out(16),
                "position": Out(Position),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        instruction, position = self.instruction, self.position
        counts = [Signal(16, name=f"{level}_count") for level in LEVELS]
        ends = Signal(len(LEVELS))
        tile_weight, tile_preset = Signal(16), Signal(16)  # first words of the tile
        same_presets = position.sum_end & ~instruction.window_presets

        plane_start = (counts[_WORD] == 0) & (counts[_ROW] == 0)
        m.d.comb += [
            ends.eq(Cat(counts[k] == instruction.count[k] for k in range(len(LEVELS)))),
            position.sum_first.eq(plane_start & (counts[_PLANE] == 0)),
            position.plane_first.eq(plane_start & (counts[_PLANE] != 0)),
            position.sum_end.eq(ends[_SUM].all()),
            position.window_first.eq((counts[_WINDOW_X] == 0) & (counts[_WINDOW_Y] == 0)),
            position.window_end.eq(ends[_WINDOW].all()),
            position.tile_end.eq(ends[_TILE]),
            position.row_end.eq(ends[_X]),
            position.layer_end.eq(ends.all()),
        ]

        def to_first_tile() -> None:
            m.d.sync += [
                self.weight.eq(instruction.weight_base),
                tile_weight.eq(instruction.weight_base),
                self.preset.eq(instruction.preset_base),
                tile_preset.eq(instruction.preset_base),
            ]

        with m.If(self.step):
            # The innermost level that is not at its end advances; all within it start again.
            for level, count in enumerate(counts):
                with m.If(ends[:level].all()):
                    m.d.sync += count.eq(Mux(ends[level], 0, count + 1))
                    with m.If(~ends[level]):
                        m.d.sync += self.activation.eq(self.activation + instruction.step[level])

            with m.If(ends[: _TILE + 1].all()):
                to_first_tile()
            with m.Elif(ends[:_TILE].all()):
                m.d.sync += [
                    self.weight.eq(self.weight + 1),
                    tile_weight.eq(self.weight + 1),
                    self.preset.eq(self.preset + 1),
                    tile_preset.eq(self.preset + 1),
                ]
            with m.Elif(ends[:_PLANE].all()):
                m.d.sync += [
                    self.weight.eq(tile_weight),
                    self.preset.eq(Mux(same_presets, tile_preset, self.preset + 1)),
                ]
            with m.Else():
                m.d.sync += self.weight.eq(self.weight + 1)

        with m.If(self.begin):
            offset = Mux(instruction.pass_input, self.input_offset, 0)
            m.d.sync += [count.eq(0) for count in counts]
            m.d.sync += self.activation.eq(instruction.activation_base + offset)
            to_first_tile()
        return m
