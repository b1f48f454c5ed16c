"""Sets a document as PDF. The one home of typst.

What is printed goes in as JSON beside the template and never into its text, so nothing that a person typed
can become markup. The same template, data and moment give the same bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import segno
import typst

from backend.errors import ExplainedError

# Where Debian's fonts-noto-cjk puts them.
FONT_FOLDER = Path("/usr/share/fonts/opentype/noto")
FONT = "Noto Sans CJK SC"


class FontMissingError(ExplainedError):
    """There is no font with Chinese characters where the configuration says."""

    code = "font_missing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"生成 PDF 需要中文字体“{FONT}”，文件夹 {folder} 里没有；"
            "请安装 fonts-noto-cjk，或改配置 documents.font_folder。",
            f"A PDF needs the font {FONT!r}, which is not in {folder}; install fonts-noto-cjk, or change the "
            "setting documents.font_folder.",
        )


class TemplateError(ExplainedError):
    """A template cannot be set; a mistake in the template, or data that it does not expect."""

    code = "template"

    def __init__(self, name: str, said: str) -> None:
        self.name, self.said = name, said
        super().__init__(f"文档模板 {name} 无法生成：{said}", f"The template {name} cannot be set: {said}")


def render(
    template: Path | str, data: Mapping[str, Any], made_at: datetime, font_folder: Path = FONT_FOLDER
) -> bytes:
    """Set a template.

    Args:
        template: a .typ file, or typst's text itself; it reads `json(bytes(sys.inputs.data))`.
        data: what json can write; amounts as the text to be printed.
        made_at: goes into the file as its date, with a time zone.
    Raises:
        FontMissingError, TemplateError
    """
    fonts = _fonts(font_folder)
    text = template.read_bytes() if isinstance(template, Path) else template.encode()
    compiler = typst.Compiler(
        text,
        # A template reads files below here only: there is nothing but fonts.
        root=font_folder,
        font_paths=fonts,
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False, sort_keys=True)},
    )
    try:
        made = compiler.compile(format="pdf", timestamp=int(made_at.timestamp()))
    except typst.TypstError as error:
        name = template.name if isinstance(template, Path) else "(text)"
        raise TemplateError(name, error.message) from error
    assert isinstance(made, bytes)  # noqa: S101 (a list of pages is for pictures)
    return made


def qr_svg(content: str) -> str:
    """A QR code as SVG, to be drawn by a template with `image(bytes(data.qr), format: "svg")`."""
    out = io.BytesIO()
    segno.make(content, error="m", micro=False).save(out, kind="svg", border=2, xmldecl=False, scale=4)
    return out.getvalue().decode()


@cache
def _fonts(folder: Path) -> typst.Fonts:
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
    if FONT not in fonts.families():
        raise FontMissingError(folder)
    return fonts
