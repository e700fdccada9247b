"""The loop nest of a layer: where each beat finds its words."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .protocol import LEVELS

__all__ = ["FIRST_SLOT", "SLOTS", "LoopNest", "Position"]

_WORD, _ROW, _PLANE, _WINDOW_X, _WINDOW_Y, _TILE, _X, _Y = range(len(LEVELS))
#: Levels whose loops add up to one sum, and those that max-pooling joins.
_SUM = slice(_WORD, _PLANE + 1)
_WINDOW = slice(_WINDOW_X, _WINDOW_Y + 1)

#: Words that the nest keeps. An instruction's first lies in slot 2; nothing is ever written to slot 0.
SLOTS = 16
_NO_MOVES, FIRST_SLOT, _BASE, _MOVES_PLANE, _MOVES_WINDOW, _MOVES_POSITION, _LEVELS = (
    0,
    2,
    4,
    5,
    6,
    7,
    8,
)

_Level = data.StructLayout({"count": 16, "step": 16})
_Moves = data.StructLayout({"preset": 16, "weight": 16})

#: Where in the nest the present beat is.
Position = data.StructLayout(
    {
        "sum_first": 1,  #: first beat of a sum
        "plane_first": 1,  #: first beat of a further plane of a sum
        "sum_end": 1,  #: last beat of a sum
        "window_first": 1,  #: in the first of the positions that max-pooling joins
        "window_end": 1,  #: with ``sum_end``: in the last of them
        "tile_end": 1,  #: with these two: in the last tile of output channels
        "row_end": 1,  #: with these three: in the last position of a row
        "layer_end": 1,  #: last beat of the layer
    }
)


class LoopNest(wiring.Component):
    """Walk the loops of an instruction (:data:`~xnorgrid.hw.protocol.LEVELS`), a beat a step.

    A step advances the innermost level that is not in its last iteration, and all within it start again.
    Counts and steps lie in small memories of which a step reads one word, so that one adder serves all
    levels. Only the innermost level of more than one iteration can advance in two steps in a row: its
    count is in a register. Another's is read, and one cycle later written back with word whether it was the
    last; meanwhile the innermost one started again.

    Members
    -------
    write : In(1)
        Keep ``word``, bits ``slot * 32`` to ``slot * 32 + 31`` of the instruction after 64 bits that do not
        matter: slots 2 to 15 in this order while ``start`` is 1.
    slot : In(4)
    word : In(32)
    start : In(1)
        Stay at the layer's first beat; for at least three cycles after slot 15 was written.
    step : In(1)
        Go to the next beat; after the last, ``start`` must be 1 before it goes on.
    position : Out(Position)
        Of the present beat.
    activation, weight, preset : Out(16)
        Addresses of its words and of its plane's preset, one cycle later.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "write": In(1),
                "slot": In(range(SLOTS)),
                "word": In(32),
                "start": In(1),
                "step": In(1),
                "position": Out(Position),
                "activation": Out(16),
                "weight": Out(16),
                "preset": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=32, depth=SLOTS, init=[])
        written, of_level, of_moves = words.write_port(), words.read_port(), words.read_port()
        level = data.View(_Level, of_level.data)
        m.d.comb += [
            written.en.eq(self.write),
            written.addr.eq(self.slot),
            written.data.eq(self.word),
        ]
        advancing = self._count(m, level.count)
        with m.If(self.start):
            m.d.comb += [of_level.addr.eq(FIRST_SLOT), of_moves.addr.eq(_BASE)]
        with m.Else():
            m.d.comb += [
                of_level.addr.eq(_LEVELS + advancing),
                of_moves.addr.eq(_move_slot(m, advancing)),
            ]
        self._move(m, advancing, level.step, data.View(_Moves, of_moves.data))
        return m

    def _count(self, m: Module, full_count: Value) -> Signal:
        """Keep the position; return the level that a step advances."""
        levels = range(len(LEVELS))
        # Of the instruction: levels of one iteration and of two; the innermost of more than one, its count.
        one, two, inner = (Signal(len(LEVELS), reset_less=True) for _ in range(3))
        found, inner_two = (Signal(reset_less=True) for _ in range(2))
        inner_level, inner_count = Signal(range(8), reset_less=True), Signal(16, reset_less=True)
        count = data.View(_Level, self.word).count
        # The comparisons of the word before.
        of_level, is_one, is_two, starts = (Signal(reset_less=True) for _ in range(4))
        m.d.sync += [
            of_level.eq(self.write & (self.slot >= _LEVELS)),
            starts.eq(self.write & (self.slot < _LEVELS)),
            is_one.eq(count == 0),
            is_two.eq(count == 1),
        ]
        with m.If(starts):
            m.d.sync += found.eq(0)
        with m.If(of_level):
            m.d.sync += [
                one.eq(Cat(one[1:], is_one)),
                two.eq(Cat(two[1:], is_two)),
                inner.eq(Cat(inner[1:], ~is_one & ~found)),
                found.eq(found | ~is_one),
            ]
            with m.If(~found):
                m.d.sync += inner_two.eq(is_two)
        with m.If(~found & ~(of_level & ~is_one)):
            m.d.sync += [inner_level.eq(self.slot), inner_count.eq(count)]

        # Steps of the innermost level until it is in its last iteration; whether it is one; whether none.
        inner_left = Signal(16, reset_less=True)
        inner_near, inner_end = (Signal(reset_less=True) for _ in range(2))
        with m.If(self.step):
            with m.If(inner_end):
                m.d.sync += [inner_left.eq(inner_count), inner_near.eq(inner_two), inner_end.eq(0)]
            with m.Else():
                m.d.sync += [
                    inner_left.eq(inner_left - 1),
                    inner_near.eq(inner_left == 2),
                    inner_end.eq(inner_near),
                ]

        # Which levels are in their first iteration, and which others than the innermost in their last.
        first, ends = (Signal(len(LEVELS), reset_less=True) for _ in range(2))
        # Another level advanced, from its first iteration, of two.
        advanced = Signal(len(LEVELS), reset_less=True)
        advanced_level = Signal(range(8), reset_less=True)
        fresh, of_two = (Signal(reset_less=True) for _ in range(2))
        # What it has left minus two, so that a sign tells the step to the last iteration.
        m.submodules.left = left = memory.Memory(shape=signed(16), depth=len(LEVELS), init=[])
        kept, changed = left.read_port(), left.write_port()
        to_last = Mux(fresh, of_two, kept.data < 0)
        # Found a cycle ahead, as the innermost level goes in between: the next of the others to advance,
        # and all within it, which start again.
        outer, restarts = (
            Signal(range(8), reset_less=True),
            Signal(len(LEVELS) + 1, reset_less=True),
        )
        now = ends | Mux(to_last, advanced, 0)
        m.d.sync += outer.eq(_Y)
        for k in reversed(range(_Y)):
            with m.If(~now[k]):
                m.d.sync += outer.eq(k)
        m.d.sync += [restarts[k].eq(now[:k].all()) for k in range(len(LEVELS) + 1)]

        m.d.comb += [
            kept.addr.eq(outer),
            changed.addr.eq(advanced_level),
            changed.en.eq(advanced.any()),
            changed.data.eq(Mux(fresh, full_count, kept.data) + Mux(fresh, -3, -1)),
        ]
        m.d.sync += [
            ends.eq(now),
            advanced.eq(0),
            advanced_level.eq(outer),
            fresh.eq(first.bit_select(outer, 1)),
            of_two.eq(two.bit_select(outer, 1)),
        ]
        with m.If(self.step):
            for k in levels:
                with m.If(inner_end & restarts[k]):
                    m.d.sync += [
                        first[k].eq(ends[k]),
                        ends[k].eq(ends[k] & (one[k] | inner[k])),
                        advanced[k].eq(~ends[k]),
                    ]
                with m.If(~inner_end & inner[k]):
                    m.d.sync += first[k].eq(0)
        with m.If(self.start):
            m.d.sync += [
                first.eq(~0),
                ends.eq(one | inner),
                advanced.eq(0),
                inner_left.eq(inner_count),
                inner_near.eq(inner_two),
                inner_end.eq(~found),
            ]

        def ended(levels: slice, whole: Value) -> Value:
            return whole & (inner_end | ~inner[levels].any())

        position = self.position
        m.d.comb += [
            position.sum_first.eq(first[_SUM].all()),
            position.plane_first.eq(first[_WORD] & first[_ROW] & ~first[_PLANE]),
            position.sum_end.eq(ended(_SUM, restarts[_WINDOW_X])),
            position.window_first.eq(first[_WINDOW].all()),
            position.window_end.eq(ended(_WINDOW, ends[_WINDOW].all())),
            position.tile_end.eq(ended(slice(_TILE, _X), ends[_TILE])),
            position.row_end.eq(ended(slice(_X, _Y), ends[_X])),
            position.layer_end.eq(restarts[len(LEVELS)] & inner_end),
        ]
        advancing = Signal(range(8))
        m.d.comb += advancing.eq(Mux(inner_end, outer, inner_level))
        return advancing

    def _move(self, m: Module, level: Signal, step: Value, moves: data.View) -> None:
        """Keep the addresses."""
        starts, moved, next_plane = (Signal(reset_less=True) for _ in range(3))
        m.d.sync += [starts.eq(self.start), moved.eq(self.step), next_plane.eq(level >= _PLANE)]
        for address, move, on in (
            (self.activation, step, 0),
            (self.weight, moves.weight, 1),
            (self.preset, moves.preset, next_plane),
        ):
            with m.If(starts | moved):
                m.d.sync += address.eq(Mux(starts, move, address + move + on))


def _move_slot(m: Module, level: Signal) -> Signal:
    """The slot of the moves when ``level`` advances."""
    slot = Signal(range(SLOTS))
    with m.Switch(level):
        with m.Case(_PLANE):
            m.d.comb += slot.eq(_MOVES_PLANE)
        with m.Case(_WINDOW_X, _WINDOW_Y):
            m.d.comb += slot.eq(_MOVES_WINDOW)
        with m.Case(_X, _Y):
            m.d.comb += slot.eq(_MOVES_POSITION)
        with m.Default():
            m.d.comb += slot.eq(_NO_MOVES)
    return slot
