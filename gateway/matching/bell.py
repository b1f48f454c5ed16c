"""A pipe that wakes somebody who waits in select."""

from __future__ import annotations

import os
from contextlib import suppress


class Bell:
    """Rung from any thread; readable until it is silenced."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._closed = False

    def fileno(self) -> int:
        """What to wait on."""
        return self._reader

    def ring(self) -> None:
        """Make it readable."""
        if self._closed:
            return
        with suppress(BlockingIOError):  # it is full: whoever waits will wake up anyway
            os.write(self._writer, b".")

    def silence(self) -> None:
        """Make it unreadable until it is rung again."""
        if self._closed:
            return
        with suppress(BlockingIOError):  # it is empty
            while os.read(self._reader, 4096):
                pass

    def close(self) -> None:
        """Give the descriptors back."""
        self._closed = True
        os.close(self._reader)
        os.close(self._writer)
