"""The gateway's one loop: it waits for sockets, for other threads' calls, and for the next due time."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class LoopSilentError(Exception):
    """The loop did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"主循环 {seconds:g} 秒内没有回应  |  the loop has not answered within {seconds:g} s"
        )


class Loop:
    """A selector and an inbox. `post` and `ask` may be called from any thread, the rest from the loop's."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._inner = select.epoll()  # only what other threads post
        self._inner.register(self._wake, select.EPOLLIN)
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False
        self._watched: dict[int, tuple[Callable[[], None], int]] = {}

    def post(self, call: Callable[[], None]) -> None:
        """Have the loop run this soon."""
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            os.eventfd_write(self._wake, 1)

    def ask(self, question: Callable[[], T], seconds: float = 2.0) -> T:
        """Run a question on the loop's thread and wait for its answer.

        Raises:
            LoopSilentError: no answer in time.
        """
        answers: list[T] = []
        answered = threading.Event()

        def answer() -> None:
            try:
                answers.append(question())
            finally:
                answered.set()

        self.post(answer)
        if not answered.wait(seconds) or not answers:
            raise LoopSilentError(seconds)
        return answers[0]

    def watch(self, fd: int, readable: Callable[[], None], *, writable: bool = False) -> None:
        """Call `readable` whenever the descriptor has something; `writable`: wake also when it has room."""
        mask = select.EPOLLIN | (select.EPOLLOUT if writable else 0)
        before = self._watched.get(fd)
        if before is None:
            self._epoll.register(fd, mask)
        elif before[1] != mask:
            self._epoll.modify(fd, mask)
        self._watched[fd] = (readable, mask)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, which may be closed already."""
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(fd)

    def turn(self, timeout_s: float) -> None:
        """Wait for something to happen, at most so long, and deal with it."""
        for fd, mask in self._epoll.poll(max(0.0, timeout_s)):
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif mask & ~select.EPOLLOUT and fd in self._watched:
                self._watched[fd][0]()
        self._call()

    def wait_for_posts(self, timeout_s: float) -> None:
        """Wait for what other threads post and nothing else, at most so long."""
        if self._inner.poll(timeout_s):
            os.eventfd_read(self._wake)
        self._call()

    def _call(self) -> None:
        self._woken = False
        for _ in range(len(self._calls)):
            self._calls.popleft()()

    def close(self) -> None:
        """Close the descriptors."""
        self._epoll.close()
        self._inner.close()
        os.close(self._wake)
