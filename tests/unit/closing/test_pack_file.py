"""What goes into the file of a pack, and what the programs that check it leave beside it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from backend.closing.pack import zip_pack
from backend.closing.programs import bean_check

ENTRY = """2026-11-03 * "rent" "租金"
  Assets:Cash  5.00 CNY
  Equity:Funding  -5.00 CNY

"""
OPEN = "2026-10-31 open Assets:Cash CNY\n2026-10-31 open Equity:Funding CNY\n\n"
# Loading a book takes seconds then; beancount keeps what took more than one in a cache beside it.
ENTRIES = 20_000


def test_only_the_files_of_the_manifest_are_filed(tmp_path: Path) -> None:
    folder, target = tmp_path / "pack", tmp_path / "pack.zip"
    folder.mkdir()
    for name in ("a.jsonl", "b.xlsx", ".left-behind"):
        (folder / name).write_text(f"content of {name}")
    manifest = json.dumps({"files": {"a.jsonl": "", "b.xlsx": ""}})
    (folder / "manifest.json").write_text(manifest)
    zip_pack(folder, target)
    with zipfile.ZipFile(target) as package:
        content = {name: package.read(name).decode() for name in package.namelist()}
    assert content == {
        "a.jsonl": "content of a.jsonl",
        "b.xlsx": "content of b.xlsx",
        "manifest.json": manifest,
    }


def test_bean_check_leaves_nothing_beside_a_large_book(tmp_path: Path) -> None:
    path = tmp_path / "book.beancount"
    path.write_text(OPEN + ENTRY * ENTRIES, "utf-8")
    assert bean_check(path) == []
    assert list(tmp_path.iterdir()) == [path]
    path.write_text(OPEN + ENTRY.replace("-5", "-6"), "utf-8")
    assert any("does not balance" in said for said in bean_check(path))
