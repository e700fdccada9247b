"""The contract between host and gateware: frames, memory regions and layer instructions.

Both halves use these layouts: gateware as payload shapes, host through ``.const(...)`` and
``.from_bits(...)``. Every field is little-endian on the wire, in the order written here.

A frame travels as ``END body END`` with SLIP escapes (RFC 1055) in the body, and
``body = header, data, CRC-32 of both``. A request's header is :data:`Request`, a reply's :data:`Reply`.
A frame with a wrong CRC, or too short or too long to be one, gets no reply; the host repeats it. Repeating
any request is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.lib import data

if TYPE_CHECKING:
    # Type checkers know what an enumeration is only if it is this one.
    import enum
else:
    from amaranth.lib import enum

__all__ = [
    "IDENTITY_MAGIC",
    "LEVELS",
    "MAX_DATA_BYTES",
    "PROTOCOL_VERSION",
    "WINDOW_BYTES",
    "Identity",
    "Instruction",
    "Op",
    "Region",
    "Reply",
    "Request",
    "Run",
    "Slip",
    "Status",
    "StatusReport",
    "data_bytes",
]

PROTOCOL_VERSION = 3
IDENTITY_MAGIC = 0x444F4E58  # "XNOD" in memory order: X N O D
#: Data bytes of one frame at most. CRC-32 finds every error of up to 4 bits in 371 bytes.
MAX_DATA_BYTES = 256
#: Bytes of unanswered requests (on the wire, SLIP escapes included) that the gateware can queue.
WINDOW_BYTES = 1024


class Slip(enum.IntEnum):
    """RFC 1055 special bytes: END delimits, ESC END_ESCAPED is END, ESC ESC_ESCAPED is ESC."""

    END = 0xC0
    ESC = 0xDB
    END_ESCAPED = 0xDC
    ESC_ESCAPED = 0xDD


class Op(enum.Enum, shape=8):
    """What a request asks for."""

    #: Adopt the request's session and reply with :data:`Identity`; with ``bank`` 1 only if the session
    #: so far is ``address`` or already the request's, else WRONG_SESSION. A change of session forgets the
    #: tag of the last run. Aborts nothing.
    IDENTIFY = 1
    #: Store words, which are the data, from ``address`` on. A word takes ``data_bytes(width)`` bytes.
    WRITE = 2
    #: Reply with words from ``address`` on.
    READ = 3
    #: Reply with the CRC-32 (4 bytes) of words from ``address`` on.
    CHECKSUM = 4
    #: Start the program; ``address`` is a tag, data is :data:`Run`. A tag equal to the last one is not run
    #: again.
    RUN = 5
    #: Reply with :data:`StatusReport`.
    STATUS = 6
    #: Stop a run, clear counters, forget session and tag.
    RESET = 7


class Region(enum.Enum, shape=8):
    """Memories that the host can reach. ``bank`` selects the row or column."""

    PROGRAM = 0  #: one bank of 32-bit words; :data:`Instruction` is a whole number of them
    WEIGHTS = 1  #: one bank a row, words of LANES bits
    #: One bank a row, words of the accumulator's width, two's complement: one word a tile and plane, or
    #: one a tile, window position and plane, planes innermost. The first plane's is the
    #: preset divided by 2 ** (planes - 1), rounded down; each further plane's lowest bit is the next lower
    #: bit of the preset. A layer of scores has presets 0.
    PRESETS = 2
    ACTIVATIONS = 3  #: one bank a column, words of LANES bits


class Status(enum.Enum, shape=8):
    """Outcome of a request."""

    OK = 0
    #: The array runs: READ, CHECKSUM, RUN and writes to PROGRAM wait until it is idle, and with single-ported
    #: weight memories (``Identity.weight_ports``) writes to WEIGHTS.
    BUSY = 1
    RANGE = 2  #: region, bank or words outside the memory; nothing was done
    UNKNOWN_OP = 3
    WRONG_SESSION = 4  #: not the session that the last IDENTIFY set; nothing was done
    #: The data or their length do not suit the operation; of a WRITE, whole words were done.
    LENGTH = 5


Request = data.StructLayout(
    {
        "op": Op,
        "seq": 8,
        "session": 16,
        "region": Region,
        "_reserved": 8,
        "bank": 16,
        "address": 16,
        #: WRITE, READ, CHECKSUM: words minus one.
        "length": 8,
        "_unused": 8,
    }
)

Reply = data.StructLayout(
    {
        "op": Op,
        "seq": 8,
        "session": 16,
        "status": Status,
        #: 1 while the array runs.
        "running": 8,
    }
)

Run = data.StructLayout(
    {
        #: Passes minus one. Each pass runs the whole program on one image a column.
        "passes": 16,
        #: Added once per pass to the activation address of instructions with ``pass_input`` set …
        "input_stride": 16,
        #: … and of the output address of instructions with ``pass_output`` set.
        "output_stride": 16,
        #: Useful lane-operations of one pass in all columns that hold an image, for the counter of them.
        "lanes": 64,
    }
)

Identity = data.StructLayout(
    {
        "magic": 32,
        "version": 16,
        "rows": 16,
        "cols": 16,
        "lanes": 16,
        "accumulator_bits": 8,
        #: The line: index into config.LINKS.
        "link": 8,
        "program_depth": 16,
        "weight_depth": 32,
        "preset_depth": 32,
        "activation_depth": 32,
        "clock_hz": 32,
        "baud": 32,
        "tile_rows": 16,
        "tile_cols": 16,
        #: Ports of the weight memories, see ArrayConfig.
        "weight_ports": 8,
        #: First 8 bytes of the SHA-256 of the gateware's sources and configuration.
        "build": 64,
    }
)

#: The counters of cycles and lanes are read one byte after the other: exact unless ``running``.
StatusReport = data.StructLayout(
    {
        #: Tag of the last run that was accepted, and 1 while it is still running.
        "tag": 16,
        "running": 8,
        #: 1 once the last accepted run has finished, 0 after RESET or while running.
        "done": 8,
        #: Cycles from the first to the last cycle of runs, all runs since RESET; modulo 2 ** 48, which
        #: at 200 MHz is 16 days, as the stalled ones.
        "busy_cycles": 48,
        #: Of these, cycles in which no processing element started a beat.
        "stalled_cycles": 48,
        #: Useful lane-operations: ``lanes`` of its run for every pass that came to its end.
        "useful_lanes": 64,
        #: Frames dropped for a wrong CRC or length; 32768 stands for that many or more.
        "bad_frames": 16,
        #: Bytes lost because the receive queue was full, and UART framing errors; as many at most.
        "lost_bytes": 16,
    }
)

#: Loop levels of a layer, innermost first. ``word``, ``row`` and ``plane`` accumulate into one sum;
#: ``window_x`` and ``window_y`` are the positions that one pooled output joins; ``tile`` walks the
#: output channels by ROWS; ``x`` and ``y`` walk the (pooled) output positions.
LEVELS = ("word", "row", "plane", "window_x", "window_y", "tile", "x", "y")

#: Words of weights and presets by which an address moves, modulo 2 ** 16.
_Moves = data.StructLayout({"preset": 16, "weight": 16})

#: The word addresses of weights go on by one with every beat and those of presets with every plane. Where
#: words are met again, a move is added besides.
_instruction = data.StructLayout(
    {
        #: 1: this is the last instruction of the program.
        "last": 1,
        #: Add the pass's offset to ``activation_base`` / to ``output_base``.
        "pass_input": 1,
        "pass_output": 1,
        "_reserved": 5,
        #: Extra bits of each result after its sign bit: 0 for a threshold layer,
        #: accumulator_bits - 1 for a layer whose integer sums leave the array, most significant first.
        "score_bits": 8,
        "activation_base": 16,
        #: Added to the output address after the last position of a row of positions, besides
        #: ``output_step``.
        "output_row_step": 16,
        "output_base": 16,
        #: First words.
        "base": _Moves,
        #: Moves when ``plane`` advances: back to the tile's first weights.
        "plane": _Moves,
        #: When ``window_x`` or ``window_y`` advances: back to the tile's first weights, and to its first
        #: preset unless each window position has presets of its own.
        "window": _Moves,
        #: When ``x`` or ``y`` advances: back to the layer's first weights and preset.
        "position": _Moves,
        #: Each level's iterations minus one, at most 32767, and what is added to the activation address when
        #: it advances (all inner levels start again).
        "level": data.ArrayLayout(data.StructLayout({"count": 16, "step": 16}), len(LEVELS)),
        #: Words stored per output position; further result bits are dropped.
        "output_words": 16,
        #: Added to the output address after every position: the words from one position's last to the next's
        #: first.
        "output_step": 16,
    }
)
assert _instruction.size % 32 == 0
Instruction = _instruction


def data_bytes(width: int) -> int:
    """Bytes that a memory word of ``width`` bits takes on the wire: whole bytes, unused bits zero."""
    return (width + 7) // 8
