# amaranth: UnusedElaboratable=no
"""Memories of cells are the generic memory, proved for any inputs and any number of cycles.

Both have the same inputs. One address, whichever, is *watched*. The two *agree* after a cycle if a read of
the watched address in the next one, without a write, shows the same word from both. Z3 finds no way to break
any of:

* first: a read of the watched address in the first cycle shows the same from both;
* start: they agree after the first cycle;
* kept: if they agree after a cycle, they do after the next;
* read: if they agree after a cycle, a read of the watched address in the next one shows the same from both.

Reads are those that the contract of ``BlockMemory`` promises something of, and addresses are those of words.
Memories are arrays of all of their words to the solver, and both begin with zeros. How words lie in the cells
is never looked at.
"""

import re

import pytest
import z3
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorgrid.boards.toolchain import run
from xnorgrid.hw import ecp5_memory, gowin_memory
from xnorgrid.hw.library import ModuleLibrary
from xnorgrid.hw.memory import BlockMemory, arrangement
from xnorgrid.sim.cells import cell_models

SHAPES = {"ecp5": ecp5_memory.SHAPES, "gowin": gowin_memory.SHAPES}
#: Width, depth, parts, single port: every shape of cells with and without parts, banks, parts of odd widths.
MEMORIES = {
    "ecp5": (
        (72, 512, 1, False),
        (36, 512, 4, False),
        (18, 1024, 1, False),
        (18, 1024, 2, False),
        (9, 2048, 1, False),
        (18, 2048, 2, False),
        (4, 4096, 1, False),
        (8, 4096, 2, False),
        (2, 8192, 1, False),
        (4, 8192, 2, False),
        (1, 20000, 1, False),
        (2, 16384, 2, False),
        (20, 1100, 4, False),
        (8, 24, 1, True),
    ),
    "gowin": (
        (72, 512, 1, False),
        (36, 512, 4, False),
        (18, 1024, 1, False),
        (18, 1024, 2, False),
        (9, 2048, 1, False),
        (18, 2048, 2, False),
        (20, 1100, 4, False),
    ),
}
#: Yosys takes many seconds over it; the proof gives all memories zeros.
ZEROS = re.compile(r"^ *for .* memory\[i\] = 0;\n", re.MULTILINE)

STATES = "before now next after p q r s t u"
DEFINITIONS = """
(define-fun then ((a |pair_s|) (b |pair_s|)) Bool
  (and (|pair_n valid| a) (|pair_t| a b) (= (|pair_n watched| a) (|pair_n watched| b))))
(define-fun read_after ((a |pair_s|) (b |pair_s|) (c |pair_s|) (d |pair_s|)) Bool
  (and (then a b) (|pair_n reads| b) (|pair_n idle| b) (then b c) (then c d)))
(define-fun reads ((a |pair_s|) (b |pair_s|) (c |pair_s|)) Bool
  (and (|pair_n useful| a) (then a b) (then b c)))
(define-fun same ((a |pair_s|)) Bool (|pair_n same| a))
(define-fun start ((a |pair_s|)) Bool (and (|pair_i| a) (zeros a)))
"""
#: What must be impossible.
CLAIMS = {
    "first": "(and (start now) (reads now next after) (not (same after)))",
    "start": "(and (start now) (read_after now p q r) (not (same r)))",
    "kept": """(and (read_after before p q r) (same r) (then before now)
        (read_after now s t u) (not (same u)))""",
    "read": """(and (read_after before p q r) (same r) (then before now)
        (reads now next after) (not (same after)))""",
}
#: What must be possible, or the claims say nothing.
WITNESS = """(and (read_after before p q r) (same r) (then before now)
    (not (|pair_n idle| before)) (reads now next after))"""


class Pair(wiring.Component):
    """A memory of cells beside the generic one, and what the claims are made of."""

    def __init__(self, technology, width, depth, parts, single_port):
        self.technology = technology
        self.shape = (width, depth, parts)
        self.single_port = single_port
        super().__init__(
            {
                "watched": In(range(depth)),
                "read_address": In(range(depth)),
                "write": In(parts),
                "write_address": In(range(depth)),
                "write_data": In(width),
                #: The watched address is read; nothing is written; the former, and at a good time.
                "reads": Out(1),
                "idle": Out(1),
                "useful": Out(1),
                #: All addresses are those of words.
                "valid": Out(1),
                #: Both show the same word.
                "same": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = []
        for technology in ("generic", self.technology):
            memory = BlockMemory(*self.shape, single_port=self.single_port)
            m.submodules[technology] = memory.elaborate(ModuleLibrary(technology))
            for name in ("read_address", "write", "write_address", "write_data"):
                m.d.comb += getattr(memory, name).eq(getattr(self, name))
            words.append(memory.read_data)
        addresses = self.watched, self.read_address, self.write_address
        elsewhere = self.write_address != self.watched
        m.d.comb += [
            self.reads.eq(self.read_address == self.watched),
            self.idle.eq(~self.write.any()),
            self.useful.eq(self.reads & (self.idle | (0 if self.single_port else elsewhere))),
            self.valid.eq(Cat(address < self.shape[1] for address in addresses).all()),
            self.same.eq(words[0] == words[1]),
        ]
        return m


def refuted(technology, memory, models, folder, claims=CLAIMS):
    """Names of the claims about one of ``MEMORIES`` that do not hold with these models of cells."""
    text, loops = ZEROS.subn("", models)
    assert loops == 1
    (folder / "cells.v").write_text(text)
    pair = rtlil.convert(Pair(technology, *memory), name="pair", emit_src=False)
    (folder / "pair.il").write_text(pair)
    script = (
        "read_verilog cells.v; read_rtlil pair.il; hierarchy -check -top pair; proc; flatten; opt -full; "
        "memory -nomap -nordff; memory_nordff; opt -full; setparam -set INIT 1'bx t:$mem_v2; "
        "write_smt2 pair.smt2"
    )
    run("yosys", ["-p", script], folder, "yosys.log")
    smt = (folder / "pair.smt2").read_text()
    memories = re.findall(r"^; yosys-smt2-memory (\S+) (\d+) (\d+) ", smt, re.MULTILINE)
    zeros = (
        f"(= (|pair_m {name}| a) ((as const (Array (_ BitVec {bits}) (_ BitVec {width}))) (_ bv0 {width})))"
        for name, bits, width in memories
    )
    assertions = z3.parse_smt2_string(
        "\n".join(
            [
                smt,
                f"(define-fun zeros ((a |pair_s|)) Bool (and {' '.join(zeros)}))",
                DEFINITIONS,
                *(f"(declare-const {state} |pair_s|)" for state in STATES.split()),
                *(f"(assert {claim})" for claim in (*claims.values(), WITNESS)),
            ]
        )
    )
    *possible, witness = [answer(assertion) for assertion in assertions]
    assert witness == z3.sat
    return {name for name, found in zip(claims, possible, strict=True) if found == z3.sat}


def answer(assertion):
    solver = z3.Solver()
    solver.set("timeout", 100_000)
    solver.add(assertion)
    found = solver.check()
    assert found != z3.unknown, solver.reason_unknown()
    return found


@pytest.mark.parametrize(
    ("technology", "memory"),
    [(technology, memory) for technology, memories in MEMORIES.items() for memory in memories],
    ids=lambda value: value if isinstance(value, str) else "x".join(map(str, map(int, value))),
)
def test_cells_are_the_generic_memory(technology, memory, tmp_path):
    assert refuted(technology, memory, cell_models(technology), tmp_path) == set()


@pytest.mark.parametrize("technology", MEMORIES)
def test_all_shapes_of_cells_are_among_them(technology):
    used = {
        (arrangement(technology, *memory).cell, memory[2] > 1) for memory in MEMORIES[technology]
    }
    assert used == {(cell, parts) for cell in SHAPES[technology] for parts in (False, True)}


WHOLE, IN_PARTS = (36, 512, 1, False), (36, 512, 4, False)


@pytest.mark.parametrize(
    ("memory", "old", "new"),
    [
        # No output register.
        (WHOLE, "? registered_out : array_out", "? array_out : array_out"),
        # Byte enables: the first one for all bytes; another byte's.
        (IN_PARTS, "if (bytes[i / 9])", "if (bytes[0])"),
        (IN_PARTS, "if (bytes[i / 9])", "if (bytes[3 - i / 9])"),
        # Writes whatever the port's enable says.
        (WHOLE, "wire write = CEA & WEA;", "wire write = WEA;"),
        # A write passes through to what is read, wherever that is.
        (WHOLE, "if (write && bytes != 0 && write_word == read_word) array_out <= ~memory[read_word];",
         "if (write) array_out <= data;"),
        # An address without its last pin.
        (WHOLE, "write_pins >> BELOW;", "write_pins[12:0] >> BELOW;"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_refuted(memory, old, new, tmp_path):
    models = cell_models("ecp5")
    assert models.count(old) == 1
    assert refuted("ecp5", memory, models.replace(old, new), tmp_path)


def test_a_read_of_the_word_being_written_is_not_promised(tmp_path):
    """The assumption is needed: the model gives such a read nothing useful."""
    claim = CLAIMS["read"].replace("(reads now next after)", "(then now next) (then next after)")
    claim = claim.replace("(not ", "(|pair_n reads| now) (not ")
    claims = {"read": claim}
    assert refuted("ecp5", IN_PARTS, cell_models("ecp5"), tmp_path, claims) == {"read"}
