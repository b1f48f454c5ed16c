import socket
import threading
from collections.abc import Iterator

import pytest

from estate.processes import free_port
from simulators.link import CuttableLink


@pytest.fixture
def echo_port() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            while content := connection.recv(1024):
                connection.sendall(content)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def link(echo_port: int) -> Iterator[CuttableLink]:
    link = CuttableLink(free_port(), echo_port)
    link.restore()
    yield link
    link.cut()


def said_back(link: CuttableLink) -> bytes:
    with socket.create_connection(("127.0.0.1", link.listen_port), 5) as near:
        near.sendall(b"door")
        return near.recv(16)


def test_traffic_passes_until_the_link_is_cut_and_again_after_it_is_restored(link: CuttableLink) -> None:
    assert said_back(link) == b"door"
    link.cut()
    with pytest.raises(ConnectionRefusedError):
        said_back(link)
    link.restore()
    assert said_back(link) == b"door"


def test_a_cut_ends_connections_that_are_open(link: CuttableLink) -> None:
    with socket.create_connection(("127.0.0.1", link.listen_port), 5) as near:
        near.sendall(b"door")
        assert near.recv(16) == b"door"
        link.cut()
        assert near.recv(16) == b""
