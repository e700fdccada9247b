import dataclasses
import hashlib
import json
import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from xnorgrid.hw.config import preset
from xnorgrid.hw.export import build_id, export, fingerprint, main, to_verilog


class Table(wiring.Component):
    """A memory whose contents have equal words next to each other, and others."""

    contents = (*[0] * 20, 1, 2, 3, *[5] * 12, 7, *[0] * 9)

    address: In(6)
    word: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=4, depth=64, init=self.contents)
        read = words.read_port()
        m.d.comb += [read.addr.eq(self.address), self.word.eq(read.data)]
        return m


def initial_words(verilog):
    """Initial value by address, loops carried out."""
    values = {}
    loop = re.compile(r"for \(at = (\d+); at <= (\d+);.*?\[at\] = 4'h(\w);", re.DOTALL)
    for first, last, value in loop.findall(verilog):
        values |= dict.fromkeys(range(int(first), int(last) + 1), int(value, 16))
    for at, value in re.findall(r"\[(\d+)\] = 4'h(\w);", verilog):
        values[int(at)] = int(value, 16)
    return values


def test_loops_keep_every_initial_word():
    verilog = to_verilog(Table(), "table_of_words")
    assert verilog.count("for (at") == 3
    expected = dict.fromkeys(range(64), 0) | dict(enumerate(Table.contents))
    assert initial_words(verilog) == expected


def test_export_writes_verilog_and_its_configuration(tmp_path, capsys):
    output = tmp_path / "board.v"
    assert main(["--config", "tiny", "--set", "rows=2", "-o", str(output)]) == 0
    config = dataclasses.replace(preset("tiny"), rows=2)
    verilog = output.read_text()
    described = json.loads((tmp_path / "board.json").read_text())
    assert described["config"] == dataclasses.asdict(config)
    assert described["build"] == f"{build_id(config):016x}"
    assert described["verilog_sha256"] == hashlib.sha256(verilog.encode()).hexdigest()
    assert re.search(
        r"^module accelerator\((clk|rst|rx|tx)(, (clk|rst|rx|tx)){3}\);", verilog, re.M
    )
    assert str(output) in capsys.readouterr().out


def test_export_of_a_board_with_a_fifo(tmp_path):
    output = tmp_path / "board.v"
    assert main(["--config", "tiny", "--set", "link=fifo", "-o", str(output)]) == 0
    ports = re.search(r"^module accelerator\((.*)\);", output.read_text(), re.M)[1]
    streams = {f"{name}__{part}" for name in "io" for part in ("payload", "valid", "ready")}
    assert set(ports.split(", ")) == {"clk", "rst", *streams}
    assert json.loads((tmp_path / "board.json").read_text())["config"]["link"] == "fifo"


def test_export_is_reproducible_and_free_of_paths():
    first = export(preset("tiny"))
    assert first == export(preset("tiny"))
    assert ".py" not in first
    assert "(* src" not in first


def test_fingerprint_tells_configurations_apart():
    tiny = preset("tiny")
    assert fingerprint(tiny) == fingerprint(preset("tiny"))
    assert fingerprint(tiny) != fingerprint(dataclasses.replace(tiny, baud=tiny.baud // 2))
    assert 0 <= build_id(tiny) < 1 << 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "huge"], "no array configuration is called 'huge'; known: tiny"),
        (["--set", "rows"], "--set takes FIELD=NUMBER or link=KIND with FIELD one of rows, cols"),
        (["--set", "rows=x"], "not 'rows=x'"),
        (["--set", "colour=1"], "not 'colour=1'"),
        (["--set", "link=usb"], "link must be one of uart, fifo, not 'usb'"),
        (["--set", "link"], "or link=KIND with FIELD one of rows, cols"),
        (["--set", "rows=0"], "rows must be at least 1"),
        (["--config", "tiny", "-o", "/nowhere/a.v"], "No such file or directory: '/nowhere/a.v'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
