"""Opens pictures from outside: limited in bytes and pixels before anything is unpacked."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gateway.matching.quality import REASONS, Pixels, Reason

BYTES_MAX = 12 << 20
PIXELS_MAX = 24_000_000
# Nothing finer is needed: a face is encoded from 150 by 150 pixels.
SIDE_MAX = 1600
FORMATS = ("JPEG", "PNG", "BMP")  # BMP: some door panels send it, under a JPEG label
# Panels want a whole head, and take up to 1 MB; this is well below.
PANEL_SIDE = 800
# Pillow reports broken files by many kinds of error; all of them mean the same to a person.
_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, SyntaxError, LookupError),
    *(AttributeError, ArithmeticError, MemoryError, struct.error),
)


def open_photo(data: bytes) -> Pixels | Reason:
    """Unpack a photograph upright and at most 1600 pixels long, or say why not.

    Args:
        data: the file's bytes; its name and label are not believed.
    Returns:
        RGB, uint8, shape (height, width, 3); or `not_an_image`, `too_many_bytes`, `too_many_pixels`
        or `damaged`.
    """
    if len(data) > BYTES_MAX:
        return REASONS["too_many_bytes"]
    picture = _header(data)
    if isinstance(picture, Reason):
        return picture
    if picture.width * picture.height > PIXELS_MAX:
        return REASONS["too_many_pixels"]
    try:
        # A JPEG is unpacked at a fraction of its size where that is enough; others ignore this.
        picture.draft("RGB", (SIDE_MAX, SIDE_MAX))
        picture.thumbnail((SIDE_MAX, SIDE_MAX))
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except _BROKEN:
        return REASONS["damaged"]


def panel_photograph(data: bytes) -> bytes:
    """A photograph as door panels take it: upright, small, JPEG, with nothing else in the file.

    Args:
        data: a photograph that `open_photo` has opened before.
    """
    pixels = open_photo(data)
    if isinstance(pixels, Reason):
        raise ValueError(pixels.code)
    picture = Image.fromarray(pixels)
    picture.thumbnail((PANEL_SIDE, PANEL_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def _header(data: bytes) -> Image.Image | Reason:
    """The picture with nothing unpacked yet."""
    with warnings.catch_warnings():
        # Our own limit is stricter than the one this warns of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            return REASONS["too_many_pixels"]
        except UnidentifiedImageError:
            return REASONS["not_an_image"]
        except _BROKEN:
            return REASONS["damaged"]
