"""A network link that can be cut: a TCP relay between a gateway and the city, for drills and the demo."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

CHUNK_BYTES = 65536


class CuttableLink:
    """Relays one loopback port to another; while cut, connections are dropped and refused.

    Args:
        listen_port: where the gateway connects to.
        target_port: where the backend listens.
    """

    def __init__(self, listen_port: int, target_port: int, host: str = "127.0.0.1") -> None:
        self.listen_port, self._target = listen_port, (host, target_port)
        self._host = host
        self._server: socket.socket | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Let traffic through (also the first time)."""
        with self._lock:
            if self._server is not None:
                return
            self._server = socket.create_server((self._host, self.listen_port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """Drop every connection and refuse new ones, as an unplugged uplink does."""
        with self._lock:
            server, self._server = self._server, None
            pairs, self._pairs = self._pairs, set()
        if server is not None:
            # shutdown wakes the accepting thread; close alone would leave it waiting.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for pair in pairs:
            _close(*pair)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(server, near), daemon=True).start()

    def _relay(self, server: socket.socket, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target, 5)
        except OSError:
            near.close()
            return
        pair = (near, far)
        with self._lock:
            if self._server is not server:
                _close(*pair)
                return
            self._pairs.add(pair)
        for end in pair:
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _copy_both_ways(near, far)
        except (OSError, ValueError):
            pass  # cut from outside, or the other end left: both mean that this relay is over
        finally:
            with self._lock:
                self._pairs.discard(pair)
            _close(*pair)


def _copy_both_ways(near: socket.socket, far: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]  # only sockets were registered
                content = source.recv(CHUNK_BYTES)
                if not content:
                    return
                key.data.sendall(content)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
