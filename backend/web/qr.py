"""A code to scan, as a picture within the page."""

from __future__ import annotations

import segno


def code_url(text: str) -> str:
    """The code of a text as a data URL."""
    return str(segno.make(text, error="m", micro=False).svg_data_uri(scale=6, border=3))
