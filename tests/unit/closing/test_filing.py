"""The folder in which a pack is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.closing.errors import PackFolderError
from backend.closing.filing import workplace


def test_it_is_gone_afterwards_and_with_it_what_a_killed_close_left(tmp_path: Path) -> None:
    pack = tmp_path / "packs" / "north-2026-11.zip"
    for name, file in ((".north-2026-11.zip.old", "in-use"), (".north-2026-11.zip.older", "half.zip")):
        (pack.parent / name).mkdir(parents=True)
        (pack.parent / name / file).touch()
    with workplace(pack) as work:
        assert list(pack.parent.iterdir()) == [work]
        (work / "half.zip").touch()
    assert list(pack.parent.iterdir()) == []


def test_what_another_close_works_in_stays(tmp_path: Path) -> None:
    pack = tmp_path / "north-2026-11.zip"
    with workplace(pack) as first:
        (first / pack.name).write_bytes(b"recorded")
        with workplace(pack) as second:
            assert second != first
        (first / pack.name).replace(pack)
    assert list(tmp_path.iterdir()) == [pack]
    assert pack.read_bytes() == b"recorded"


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "packs").touch()
    pack = tmp_path / "packs" / "north-2026-11.zip"
    with pytest.raises(PackFolderError, match="north-2026-11"), workplace(pack):
        pass
