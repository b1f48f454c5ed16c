"""A socket in memory: paho reads and writes here, and the loop moves the bytes in bulk.

paho takes three system calls to read a packet and one to write one. Here one call takes all that has
arrived, and one call sends all that a batch produced.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

PART_BYTES = 1 << 18
READ_BYTES = 1 << 20  # at most this much is taken from the kernel before the batch is worked on


class BatchSocket:
    """A socket that paho reads and writes in memory; the loop moves the bytes in bulk."""

    def __init__(self, kernel: socket.socket) -> None:
        self._kernel = kernel
        self._in_records = isinstance(kernel, ssl.SSLSocket)  # TLS gives one record a call
        self._arrived = b""
        self._read = 0
        self.ended = False  # nothing more will come
        self._out = bytearray()
        with contextlib.suppress(OSError):
            # A lone answer must not wait for the acknowledgement of the packet before it.
            kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_unread(self) -> bool:
        """Whether paho has not read all that arrived; the end of the stream counts too."""
        return self._read < len(self._arrived) or self.ended

    @property
    def position(self) -> int:
        """How far paho has read; moves whenever it takes something."""
        return self._read

    @property
    def unsent(self) -> int:
        """Bytes that wait for the kernel."""
        return len(self._out)

    def fill(self) -> None:
        """Take what has arrived from the kernel, up to READ_BYTES; never blocks."""
        parts = [self._arrived[self._read :]] if self._read < len(self._arrived) else []
        taken = 0
        while taken < READ_BYTES:
            try:
                part = self._kernel.recv(PART_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError:
                self.ended = True
                break
            if not part:
                self.ended = True
                break
            parts.append(part)
            taken += len(part)
            if not self._in_records and len(part) < PART_BYTES:
                break  # a short read: the kernel has no more, and asking again would cost a call
        self._arrived = parts[0] if len(parts) == 1 else b"".join(parts)
        self._read = 0

    def flush(self) -> bool:
        """Give the kernel what paho wrote; False when it would not take all of it yet."""
        out = self._out
        while out:
            try:
                sent = self._kernel.send(out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError:
                self.ended = True  # paho learns of it when it reads
                out.clear()
                return True
            del out[:sent]
        return True

    # What paho calls.

    def recv(self, buffer_size: int) -> bytes:
        """From memory; as a non-blocking socket would answer."""
        start = self._read
        part = self._arrived[start : start + buffer_size]
        if not part and buffer_size and not self.ended:
            raise BlockingIOError
        self._read = start + len(part)
        return part

    def send(self, buffer: bytes | bytearray) -> int:
        """Into memory; `flush` sends."""
        self._out += buffer
        return len(buffer)

    def close(self) -> None:
        """Close the real one."""
        self._kernel.close()

    def fileno(self) -> int:
        """Of the real one, for the selector."""
        return self._kernel.fileno()

    def setblocking(self, flag: bool) -> None:
        """Of the real one."""
        self._kernel.setblocking(flag)
