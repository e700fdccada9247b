"""The fast simulated board: the exported Verilog, compiled to native code."""

from __future__ import annotations

import ctypes
from pathlib import Path

from .simulated import SimulatedBoard

__all__ = ["CompiledBoard"]


class CompiledBoard(SimulatedBoard):
    """A board in a shared library made by :func:`~xnorgrid.sim.verilator.compile_board`."""

    def __init__(self, library: Path, byte_cycles: int, description: str) -> None:
        super().__init__(description, byte_cycles)
        functions = ctypes.CDLL(str(library))
        functions.board_create.restype = ctypes.c_void_p
        functions.board_create.argtypes = [ctypes.c_uint32]
        functions.board_destroy.restype = None
        functions.board_destroy.argtypes = [ctypes.c_void_p]
        functions.board_run.restype = ctypes.c_uint64
        functions.board_run.argtypes = [
            ctypes.c_void_p, ctypes.c_uint64,
            ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t),
            ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t),
            ctypes.c_int, ctypes.c_int,
        ]  # fmt: skip
        self._functions = functions
        self._buffer = ctypes.create_string_buffer(1 << 16)
        self._handle = functions.board_create(byte_cycles)
        self._calibrate(cycles=2000)

    def _run(self, cycles: int, send: bytes, size: int) -> tuple[int, int, bytes]:
        sent, received = ctypes.c_size_t(), ctypes.c_size_t()
        size = min(size, len(self._buffer))
        ran = self._functions.board_run(
            self._handle, cycles, send, len(send), ctypes.byref(sent),
            self._buffer, size, ctypes.byref(received), bool(send), not send,
        )  # fmt: skip
        return ran, sent.value, self._buffer.raw[: received.value]

    def close(self) -> None:
        if self._handle is not None:
            self._functions.board_destroy(self._handle)
            self._handle = None
        super().close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()
