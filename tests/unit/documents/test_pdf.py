"""Documents come out with Chinese characters, the same each time, and take data for what it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.documents.pdf import FontMissingError, TemplateError, qr_svg, render

AT = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
LINE = '#set text(font: "Noto Sans CJK SC")\n#let data = json(bytes(sys.inputs.data))\n#data.said'


def test_the_same_data_and_moment_give_the_same_bytes() -> None:
    first = render(LINE, {"said": "收据"}, AT)
    assert first.startswith(b"%PDF-")
    assert render(LINE, {"said": "收据"}, AT) == first
    assert render(LINE, {"said": "收据"}, AT + timedelta(days=1)) != first
    assert render(LINE, {"said": "收条"}, AT) != first


@pytest.mark.parametrize("said", ['#panic("no")', '"] #read("/etc/passwd")', "$x$ *b* \\ `c`", "#{1/0}"])
def test_what_a_person_typed_is_printed_and_never_run(said: str) -> None:
    assert render(LINE, {"said": said}, AT).startswith(b"%PDF-")


def test_a_template_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    for path in ("/etc/passwd", "/../../etc/passwd", str(tmp_path / "secret.txt")):
        with pytest.raises(TemplateError):
            render(f'#read("{path}")', {}, AT)


def test_a_folder_without_the_font_is_named_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FontMissingError, match="fonts-noto-cjk") as told:
        render(LINE, {"said": "收据"}, AT, tmp_path)
    assert str(tmp_path) in told.value.zh


def test_a_wrong_template_is_one_sentence() -> None:
    with pytest.raises(TemplateError, match="无法生成"):
        render("#data.nothing", {}, AT)


def test_a_qr_code_is_a_picture_that_a_template_can_draw() -> None:
    template = '#let data = json(bytes(sys.inputs.data))\n#image(bytes(data.qr), format: "svg")'
    assert render(template, {"qr": qr_svg("https://x.invalid/r/abc")}, AT).startswith(b"%PDF-")
