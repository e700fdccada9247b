"""Serial ports as transports."""

from __future__ import annotations

import errno
import time

import serial

from .errors import PortError
from .transport import Transport, TransportError

__all__ = ["SerialTransport"]


class SerialTransport(Transport):
    """A serial port, opened exclusively. Raises :class:`~xnorgrid.errors.PortError` if that fails.

    Parameters
    ----------
    port : str
        Name of the port, ``/dev/ttyUSB1`` or ``COM3``.
    baud : int
        Bits per second.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.description = f"serial:{port}"
        try:
            self._port = serial.Serial(port, baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError, OverflowError) as error:
            raise PortError(_why_not(port, baud, error)) from error
        try:
            # What came before belongs to nobody.
            self._port.reset_input_buffer()
        except (OSError, serial.SerialException) as error:
            self._port.close()
            raise PortError(_why_not(port, baud, error)) from error

    def write(self, data: bytes, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            if self._port.write_timeout != timeout:
                self._port.write_timeout = timeout
            done = 0
            while done < len(data):
                done += self._port.write(data[done:]) or 0
                if done < len(data) and time.monotonic() >= deadline:
                    raise TransportError(f"took only {done} of {len(data)} bytes in {timeout:g} s")
        except serial.SerialTimeoutException:
            raise TransportError(f"did not take {len(data)} bytes in {timeout:g} s") from None
        except (OSError, TypeError, serial.SerialException) as error:
            raise TransportError(str(error) or "closed") from error

    def read(self, size: int, timeout: float) -> bytes:
        try:
            if self._port.timeout != timeout:
                self._port.timeout = timeout
            first = self._port.read(1)
            if not first or size == 1:
                return first
            return first + self._port.read(min(size - 1, self._port.in_waiting))
        except (OSError, TypeError, serial.SerialException) as error:
            # A closed port has no file descriptor: TypeError.
            raise TransportError(str(error) or "closed") from error

    def close(self) -> None:
        self._port.close()


def _why_not(port: str, baud: int, error: Exception) -> str:
    """Say why ``port`` could not be opened, and what to do."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT or isinstance(error, FileNotFoundError):
        return (
            f"there is no port {port}: plug the board in; "
            f"'python -m serial.tools.list_ports' lists what is there"
        )
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"port {port} may not be opened by this user: add the user to the group that owns it "
            f"(often 'dialout') and log in again"
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return f"port {port} is in use by another program: close that and try again"
    if isinstance(error, (ValueError, OverflowError)) or "baud" in str(error).lower():
        return f"port {port} does not do {baud} baud: give the board's rate, serial:{port}?baud=…"
    return f"port {port} cannot be opened ({error}): is it a serial port?"
