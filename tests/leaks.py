"""Known faces, and a search for them in whatever may never hold one: databases, logs, what went up.

Marks are bytes that the tests themselves put into the system: the test photographs, and templates made of
them or invented. Each is looked for in every way in which this project, or a careless line of code, could
write it: raw, hex, base64 from each of its three beginnings, packed, float32 and float64, and as decimal
text. Any JPEG is found as well, known or not. A whole run is many megabytes and some thousand marks, so
numpy points at the few places where one may begin, and only these are compared.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]

# Where in a content a part is taken, so that a copy that was cut is found as well.
PARTS = (0.1, 0.5, 0.9)
PART_BYTES = 30
DIFFERENT_MIN = 12
# Below this a number has a zero or an exponent in front, and says little.
PLAIN_MIN = 0.02
DIGITS = 6
NEXT_WITHIN_BYTES = 48
JPEG_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
KEY_BYTES = 6
TABLE_BITS = 22
CHUNK_BYTES = 1 << 22
OVERLAP_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Needle:
    name: str
    text: bytes
    then: bytes = b""  # has to follow soon

    def is_at(self, content: bytes, at: int) -> bool:
        end = at + len(self.text)
        return content.startswith(self.text, at) and self.then in content[end : end + NEXT_WITHIN_BYTES]


@dataclass
class Marks:
    """What is looked for; filled while the tests run."""

    _needles: dict[bytes, list[_Needle]] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set)
    _table: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1 << TABLE_BITS, np.bool_))

    def plant_image(self, name: str, image: bytes) -> None:
        """Look for this picture from now on."""
        if image not in self._known:
            self._known.add(image)
            for part in _parts(image):
                self._add(_written(name, part))

    def plant_template(self, name: str, template: Floats) -> None:
        """Look for this template from now on, as it is and brought to length 1, as a vault keeps it."""
        key = np.asarray(template, "<f4").tobytes()
        if key in self._known:
            return
        self._known.add(key)
        for numbers in (template, template / np.linalg.norm(template)):
            for kind in ("<f4", "<f8"):
                content = np.asarray(numbers, kind).tobytes()
                self._add(one for part in _parts(content) for one in _written(f"{name} {kind[1:]}", part))
            self._add(_decimals(f"{name} decimal", np.asarray(numbers, "<f4").tolist()))

    def plant_any_jpeg(self) -> None:
        """Look for the beginning that every JPEG of this project has."""
        self._add(_written("a JPEG", JPEG_START))

    def found_in(self, content: bytes) -> list[str]:
        """Names of the marks in it, and of the way in which each is written."""
        found: set[str] = set()
        for start in range(0, len(content), CHUNK_BYTES):
            chunk = content[start : start + CHUNK_BYTES + OVERLAP_BYTES]
            for at in self._candidates(chunk):
                key = chunk[at : at + KEY_BYTES]
                found.update(one.name for one in self._needles.get(key, ()) if one.is_at(chunk, at))
        for packed in _unpacked(content):
            found.update(f"{name}, packed" for name in self.found_in(packed))
        return sorted(found)

    def _candidates(self, chunk: bytes) -> list[int]:
        """Where one of the needles may begin."""
        raw = np.frombuffer(chunk, np.uint8)
        if len(raw) < KEY_BYTES:
            return []
        hits: list[int] = np.flatnonzero(self._table[_hashed(raw)]).tolist()
        return hits

    def _add(self, needles: Iterable[_Needle]) -> None:
        for one in needles:
            key = one.text[:KEY_BYTES]
            self._needles.setdefault(key, []).append(one)
            self._table[_hashed(np.frombuffer(key, np.uint8))] = True


def _hashed(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """A number for each run of `KEY_BYTES` bytes."""
    count = len(raw) - KEY_BYTES + 1
    value = np.zeros(count, np.uint32)
    for offset in range(KEY_BYTES):
        value *= np.uint32(0x01000193)
        value ^= raw[offset : offset + count]
    value *= np.uint32(0x9E3779B1)
    return value >> np.uint32(32 - TABLE_BITS)


def _parts(content: bytes) -> Iterator[bytes]:
    for place in PARTS:
        start = int((len(content) - PART_BYTES) * place) // 8 * 8
        # Padding, blanks in a picture's head for example, is everywhere and says nothing.
        while len(set(part := content[start : start + PART_BYTES])) < DIFFERENT_MIN and part:
            start += PART_BYTES
        if part:
            yield part


def _written(name: str, part: bytes) -> Iterator[_Needle]:
    """A part in every way; of base64 only groups of four letters that hold nothing but the part."""
    yield _Needle(f"{name} raw", part)
    yield _Needle(f"{name} hex", part.hex().encode())
    yield _Needle(f"{name} HEX", part.hex().upper().encode())
    for encode, kind in ((base64.b64encode, "base64"), (base64.urlsafe_b64encode, "base64 of addresses")):
        for before in range(3):
            text = encode(bytes(before) + part)
            yield _Needle(f"{name} {kind}", text[4 if before else 0 : (before + len(part)) // 3 * 4])


def _decimals(name: str, numbers: list[float]) -> Iterator[_Needle]:
    """Two neighbours, each by its first decimals: rounding to six or more leaves these alone."""
    count = 0
    for one, following in itertools.pairwise(numbers):
        if min(abs(one), abs(following)) < PLAIN_MIN or not (_is_steady(one) and _is_steady(following)):
            continue
        count += 1
        if count % 6 == 1:
            yield _Needle(name, _digits(one), _digits(following))


def _digits(number: float) -> bytes:
    return f"{abs(number):.12f}"[1 : 2 + DIGITS].encode()


def _is_steady(number: float) -> bool:
    """Whether rounding it a digit later changes none of those that count."""
    return abs(number) < 1 and f"{abs(number):.6f}"[1 : 2 + DIGITS].encode() == _digits(number)


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Whatever in it was packed with gzip."""
    start = content.find(b"\x1f\x8b\x08")
    while start >= 0:
        unpacker = zlib.decompressobj(wbits=31)
        with contextlib.suppress(zlib.error):  # these three bytes began something else
            yield unpacker.decompress(content[start:])
        start = content.find(b"\x1f\x8b\x08", start + 1)


def packed(content: bytes) -> bytes:
    """As the gateway sends its records."""
    return gzip.compress(content, 1)


def template_writings(template: Floats) -> dict[str, bytes]:
    """Every way in which a template could be written down."""
    written: dict[str, bytes] = {"decimal": repr(np.asarray(template, "<f4").tolist()).encode()}
    written["rounded"] = repr([round(float(one), 6) for one in template]).encode()
    text = io.BytesIO()
    np.savetxt(text, template, fmt="%.8f")
    written["lines"] = text.getvalue()
    for kind in ("f4", "f8"):
        written |= {
            f"{kind} {way}": one for way, one in writings(template.astype(f"<{kind}").tobytes()).items()
        }
    return written


def writings(content: bytes) -> dict[str, bytes]:
    """Every way in which bytes could be written down, each in the middle of something else."""
    return {
        "raw": b"before" + content + b"after",
        "hex": b'{"a": "' + content.hex().encode(),
        "HEX": content.hex().upper().encode(),
        "base64": base64.b64encode(content),
        "base64, one later": base64.b64encode(b"1" + content),
        "base64, two later": base64.b64encode(b"12" + content),
        "base64 of addresses": base64.urlsafe_b64encode(content),
        "packed": b"HTTP/1.1\r\n\r\n" + packed(b"[" + content + b"]"),
        "only its middle": content[len(content) // 3 : -len(content) // 4],
    }


def files_with(marks: Marks, folder: Path, suffixes: frozenset[str]) -> list[str]:
    """What was found in files of these endings, at any depth."""
    return [
        f"{path}: {name}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes and path.is_file()
        for name in marks.found_in(path.read_bytes())
    ]
