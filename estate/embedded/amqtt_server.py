"""The process of the embedded Python broker: `python -m estate.embedded.amqtt_server OPTIONS.json`.

amqtt 0.12.1 takes a client's id over before it asks for the password, publishes a last will without asking
whether it may, and reads messages of any size. So we listen ourselves: a connection reaches amqtt only
after its first packet, CONNECT, has been read here and found to be a user's.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys
import warnings
from pathlib import Path

import msgspec

with warnings.catch_warnings():
    # Its optional password kinds import a module that the next Python drops; we use none of them.
    warnings.simplefilter("ignore", DeprecationWarning)
    from amqtt.adapters import BufferReader, StreamReaderAdapter, StreamWriterAdapter
    from amqtt.broker import Broker
    from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
    from amqtt.mqtt.connect import ConnectPacket

from estate.embedded.amqtt_rights import Rights

CONNECT_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 1.0
CONNECT_BYTES_MAX = 64 * 1024
LISTENER = "default"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the starting process asks for."""

    host: str
    port: int
    users_file: str
    message_bytes_max: int
    certificate: str | None
    key: str | None


class CheckedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt ships no types
    """Gives back the first packet that we read, then the stream, and no message larger than allowed."""

    def __init__(self, first: bytes, reader: asyncio.StreamReader, bytes_max: int) -> None:
        super().__init__(reader)
        self._first, self._bytes_max = first, bytes_max

    async def read(self, n: int = -1) -> bytes:
        """Read `n` bytes; nothing, as at the end of a connection, where `n` is too many."""
        if self._first:
            part, self._first = self._first[:n], self._first[n:]
            return part
        if n > self._bytes_max:
            return b""
        content: bytes = await super().read(n)
        return content


class Server:
    """Our listener in front of amqtt."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._broker = Broker(
            {
                "listeners": {LISTENER: {"type": "external"}},
                "plugins": {"estate.embedded.amqtt_rights.Rights": {"users_file": options.users_file}},
            }
        )
        rights = self._broker.plugins_manager.get_plugin("Rights")
        if not isinstance(rights, Rights):
            raise TypeError("amqtt did not load our plug-in")
        self._rights = rights

    async def run(self) -> None:
        """Serve until SIGTERM; read the users again at SIGHUP."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self._reload()))
        await self._broker.start()
        # asyncio sets TCP_NODELAY on every connection.
        listener = await asyncio.start_server(
            self._connected, self._options.host, self._options.port, ssl=self._tls()
        )
        _say(f"amqtt running on {self._options.host}:{self._options.port}")
        await stopped.wait()
        listener.close()
        # Nothing is kept that would be lost: a client that does not take its leave is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._broker.shutdown()

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._options.certificate, self._options.key)
        return context

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except Exception as error:
            # amqtt's parser and handlers raise many kinds; whatever it was, it was this connection's.
            _say(f"a connection failed: {type(error).__name__}")
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            first = await _read_first_packet(reader)
            connect = await ConnectPacket.from_stream(BufferReader(first))
        if not self._may_connect(connect):
            _say("refused a connection")
            writer.write(ConnackPacket.build(0, NOT_AUTHORIZED).to_bytes())
            await writer.drain()
            return
        checked = CheckedReader(first, reader, self._options.message_bytes_max)
        await self._broker.external_connected(checked, StreamWriterAdapter(writer), LISTENER)

    def _may_connect(self, connect: ConnectPacket) -> bool:
        if not self._rights.knows(connect.username, connect.password):
            return False
        return not connect.will_flag or self._rights.may_write(connect.username, connect.will_topic)

    async def _reload(self) -> None:
        changed = self._rights.reload()
        for session, handler in list(self._broker.sessions.values()):
            if session.username in changed:
                session.will_flag = False  # it may not publish any more
                await handler.handle_connection_closed()
        _say("Reloading config.")


async def _read_first_packet(reader: asyncio.StreamReader) -> bytes:
    """The whole CONNECT packet as it came.

    Raises:
        ValueError: it is another packet, or too long.
    """
    packet = bytearray(await reader.readexactly(2))
    if packet[0] != 0x10:
        raise ValueError("not CONNECT")
    while packet[-1] & 0x80:
        packet += await reader.readexactly(1)
        if len(packet) > 5:
            raise ValueError("no length")
    length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(packet[1:]))
    if length > CONNECT_BYTES_MAX:
        raise ValueError("too long")
    return bytes(packet + await reader.readexactly(length))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Read the options and serve."""
    options = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Options)

    async def serve() -> None:
        await Server(options).run()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
