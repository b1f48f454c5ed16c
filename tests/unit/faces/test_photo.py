"""Pictures from outside: each bad one has its reason, and none is unpacked before its size is known."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from gateway.matching.photo import BYTES_MAX, PIXELS_MAX, SIDE_MAX, open_photo
from gateway.matching.quality import Pixels, Reason


def encoded(width: int, height: int, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind, **options)
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A few hundred bytes that unpack to width × height pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * (1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def code(data: bytes) -> str:
    found = open_photo(data)
    return found.code if isinstance(found, Reason) else "ok"


def opened(data: bytes) -> Pixels:
    found = open_photo(data)
    assert not isinstance(found, Reason), found
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not_an_image"),
        (b"%PDF-1.7\n%renamed to .jpg", "not_an_image"),
        (b"GIF89a" + b"\0" * 100, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"\xff\xd8" + b"\xff" * (BYTES_MAX + 1), "too_many_bytes"),
        (png_claiming(6_000, 5_000), "too_many_pixels"),
        (png_claiming(60_000, 60_000), "too_many_pixels"),
        (png_claiming(4_000, 4_000), "damaged"),
        (encoded(800, 600)[:20_000], "damaged"),
        (encoded(400, 300, "PNG")[:-400], "damaged"),
        (encoded(400, 300, "BMP"), "ok"),
        (encoded(400, 300, "TIFF"), "not_an_image"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_bad_file_has_its_reason(data: bytes, expected: str) -> None:
    assert code(data) == expected


def test_a_bomb_takes_no_memory() -> None:
    bomb = png_claiming(60_000, 60_000)
    tracemalloc.start()
    open_photo(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_pixels_at_the_limit_pass_and_come_out_small() -> None:
    assert PIXELS_MAX == 6_000 * 4_000
    out = io.BytesIO()
    Image.new("RGB", (6_000, 4_000), "grey").save(out, "JPEG")
    assert max(opened(out.getvalue()).shape) <= SIDE_MAX


def test_a_photograph_taken_sideways_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turned
    assert opened(encoded(300, 200, exif=exif)).shape == (300, 200, 3)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("PNG", "I;16")],
)
def test_other_colour_forms_become_rgb(kind: str, mode: str) -> None:
    if mode == "I;16":
        out = io.BytesIO()
        Image.fromarray(np.arange(20_000, dtype=np.uint16).reshape(100, 200)).save(out, kind)
        data = out.getvalue()
    else:
        data = encoded(200, 100, kind, mode)
    pixels = opened(data)
    assert (pixels.shape, pixels.dtype) == ((100, 200, 3), np.uint8)


def test_random_damage_is_a_reason_or_a_picture_and_never_an_error() -> None:
    random = np.random.default_rng(3)
    for good in (encoded(120, 90), encoded(120, 90, "PNG")):
        for _ in range(150):
            data = bytearray(good)
            for place in random.integers(0, len(data), 8):
                data[place] = random.integers(0, 256)
            assert code(bytes(data)) in {"ok", "damaged", "not_an_image", "too_many_pixels"}
