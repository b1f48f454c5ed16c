"""Bodies of the gateways' interface: compressed both ways, bounded, and as msgspec structs."""

from __future__ import annotations

import gzip
import zlib

import msgspec
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from backend.errors import ExplainedError

WIRE_BYTES_MAX = 1024 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
COMPRESS_FROM_BYTES = 512
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class WrongShapeError(ExplainedError):
    """A body that is not what the interface agreed on; nothing of it was kept."""

    code = "wrong_shape"

    def __init__(self) -> None:
        super().__init__(
            "请求内容的格式与接口约定不符，未保存任何内容。",
            "The body does not have the agreed shape; nothing of it was kept.",
        )


class BusyError(ExplainedError):
    """This process has no thread left for another long poll."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__(
            "等待名单变化的连接已满，请稍后再试。", "Too many long polls; come again in a moment."
        )


def read_body() -> bytes:
    """The request's body, decompressed.

    Raises:
        RequestEntityTooLarge: more than WIRE_BYTES_MAX as sent, or BODY_BYTES_MAX after decompression.
        UnsupportedMediaType: another encoding than gzip or none.
        WrongShapeError: broken gzip.
    """
    request.max_content_length = WIRE_BYTES_MAX
    sent = request.get_data(cache=False)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return sent
    if encoding != "gzip":
        raise UnsupportedMediaType
    return _decompress(sent)


def answer_json(value: object, status: int = 200) -> Response:
    """Encode, and compress where the caller takes it."""
    body = msgspec.json.encode(value)
    headers = {"Vary": "Accept-Encoding"}
    if len(body) >= COMPRESS_FROM_BYTES and request.accept_encodings["gzip"] > 0:
        body = gzip.compress(body, compresslevel=5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, content_type="application/json")


def _decompress(sent: bytes) -> bytes:
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        body = unpacker.decompress(sent, BODY_BYTES_MAX)
    except zlib.error:
        raise WrongShapeError from None
    if unpacker.unconsumed_tail:
        raise RequestEntityTooLarge
    if not unpacker.eof:
        raise WrongShapeError
    return body
