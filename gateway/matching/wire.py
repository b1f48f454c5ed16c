"""What the gateway and an encoder process say to each other: length-prefixed msgpack over a socket pair."""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

import msgspec

_LENGTH = struct.Struct("<I")


class Job(msgspec.Struct, frozen=True, array_like=True):
    """Pictures to encode; `enrolment` asks for the stricter quality."""

    images: list[bytes]
    enrolment: bool


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """An encoder's answer.

    Attributes:
        vectors: for each picture a template as little-endian float32, or None.
        reasons: for each picture the code of what was wrong with it, or None.
        missing: the encoder cannot work at all, and why; it ends after saying so.
        ready: this is the first message, not an answer.
    """

    vectors: list[bytes | None] = []
    reasons: list[str | None] = []
    missing: str | None = None
    ready: bool = False


MessageT = TypeVar("MessageT", Job, Reply)


def send(channel: socket.socket, message: Job | Reply) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket, kind: type[MessageT]) -> MessageT | None:
    """Wait for one message; None when the other side is gone.

    Raises:
        TimeoutError: the channel has a timeout and it has passed.
    """
    try:
        head = _exactly(channel, _LENGTH.size)
        body = _exactly(channel, _LENGTH.unpack(head)[0]) if head is not None else None
        return msgspec.msgpack.decode(body, type=kind) if body is not None else None
    except (ConnectionError, msgspec.DecodeError):
        return None


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
