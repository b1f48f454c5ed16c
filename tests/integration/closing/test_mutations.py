"""Two hundred small forgeries of a close pack, the manifest always made anew, in half of them the chain too.

The forger has the pack and everything in it. What the forger has not: the head on the signed close sheet, and
the pack of the month before.
"""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.closing import verify_pack
from tests.integration.closing.conftest import ClosedYear

FORGERIES = 200
ROWS = sorted(verify_pack.FIELDS)
TEXTS = ("book.beancount", "book.journal")
AMOUNT = re.compile(r"-?\d+\.\d\d(?= CNY)")

Act = Callable[[list[str], int, random.Random], bool]


def drop(lines: list[str], at: int, _chance: random.Random) -> bool:
    del lines[at]
    return True


def double(lines: list[str], at: int, _chance: random.Random) -> bool:
    lines.insert(at, lines[at])
    return True


def swap(lines: list[str], at: int, _chance: random.Random) -> bool:
    """With the next one; nothing is done where both say the same."""
    if at + 1 >= len(lines) or not lines[at + 1].strip() or lines[at] == lines[at + 1]:
        return False
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return True


def one_fen(lines: list[str], at: int, chance: random.Random) -> bool:
    """One amount of the row is one fen more or less."""
    step = chance.choice((-1, 1))
    if not lines[at].startswith("{"):
        found = AMOUNT.search(lines[at])
        if found is None:
            return False
        fen = round(float(found[0]) * 100) + step
        changed = f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02}"
        lines[at] = lines[at][: found.start()] + changed + lines[at][found.end() :]
        return True
    row: dict[str, Any] = json.loads(lines[at])
    if "postings" in row:
        posting = chance.choice(row["postings"])
        posting[1 if posting[1] else 2] += step
    else:
        names = [name for name, value in row.items() if name.endswith("fen") and isinstance(value, int)]
        if not names:
            return False
        row[chance.choice(names)] += step
    lines[at] = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return True


ACTS: tuple[Act, ...] = (drop, double, swap, one_fen)


def forge(folder: Path, chance: random.Random, with_chain: bool) -> str:
    """Change one place; what was done."""
    while True:
        # Entries are what a forger wants to change; everything else is there to give it away.
        name = "entries.jsonl" if with_chain or chance.random() < 0.3 else chance.choice((*ROWS, *TEXTS))
        act = chance.choice(ACTS)
        lines = (folder / name).read_text("utf-8").split("\n")
        places = [at for at, line in enumerate(lines) if line.strip()]
        if not places:
            continue
        at = chance.choice(places)
        before = list(lines)
        if act(lines, at, chance) and lines != before:
            break
    (folder / name).write_text("\n".join(lines), "utf-8")
    if with_chain:
        make_chain_anew(folder)
    make_manifest_anew(folder)
    return f"{act.__name__} line {at + 1} of {name}, chain {'anew' if with_chain else 'left'}"


def make_chain_anew(folder: Path) -> None:
    manifest = json.loads((folder / verify_pack.MANIFEST).read_bytes())
    chain, rows = manifest["chain"], []
    sequence, previous = chain["before_sequence"], chain["before_hash"]
    for line in (folder / "entries.jsonl").read_text("utf-8").split("\n"):
        if not line:
            continue
        entry = json.loads(line)
        sequence += 1
        lines = [dict(zip(verify_pack.POSTING, one, strict=True)) for one in entry["postings"]]
        entry["sequence"] = sequence
        entry["hash"] = previous = verify_pack.entry_hash(
            previous, manifest["book"], {**entry, "lines": lines}
        )
        rows.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    (folder / "entries.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    chain["head_sequence"], chain["head_hash"] = sequence, previous
    (folder / verify_pack.MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")


def make_manifest_anew(folder: Path) -> None:
    manifest = json.loads((folder / verify_pack.MANIFEST).read_bytes())
    manifest["files"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    (folder / verify_pack.MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")


def test_two_hundred_forgeries_are_found(closed_year: ClosedYear, unpacked: Path, tmp_path: Path) -> None:
    closed, before = closed_year.closed[8], closed_year.closed[7]
    assert verify_pack.verify(unpacked, closed.head_hash, before.path) == []
    chance, missed = random.Random(20260930), []
    for number in range(FORGERIES):
        folder = tmp_path / "forged"
        shutil.copytree(unpacked, folder)
        done = forge(folder, chance, with_chain=number % 2 == 0)
        if not verify_pack.verify(folder, closed.head_hash, before.path):
            missed.append(done)
        shutil.rmtree(folder)
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("places", ["first", "more"])
def test_money_that_moves_below_a_statement_of_the_journal_is_found(unpacked: Path, places: str) -> None:
    path = unpacked / "book.journal"
    lines = path.read_text("utf-8").split("\n")
    at = next(at for at, line in enumerate(lines) if " * statement | " in line) + 1
    name = lines[at].strip().partition("  ")[0]
    if places == "first":
        lines[at] = lines[at].replace("  0.00 CNY = ", "  5.00 CNY = ")
    lines.insert(at + 1, f"    {name}  -5.00 CNY")
    if places == "more":
        lines.insert(at + 1, f"    {name}  5.00 CNY")
    path.write_text("\n".join(lines), "utf-8")
    make_manifest_anew(unpacked)
    assert any(said.startswith("hledger: ") for said in verify_pack.verify(unpacked))


def test_a_forged_entry_with_its_chain_is_found_without_the_head_where_somebody_else_states_the_balance(
    closed_year: ClosedYear, unpacked: Path
) -> None:
    """A bank entry left out: the statement's balance gives it away, whatever the chain says."""
    lines = (unpacked / "entries.jsonl").read_text("utf-8").split("\n")
    bank = next(
        at for at, line in enumerate(lines) if line and json.loads(line)["event_kind"] == "bank_charge"
    )
    del lines[bank]
    (unpacked / "entries.jsonl").write_text("\n".join(lines), "utf-8")
    make_chain_anew(unpacked)
    make_manifest_anew(unpacked)
    wrong = verify_pack.verify(unpacked, None, closed_year.closed[7].path)
    assert any(line.startswith("statements:") for line in wrong)


def test_the_first_entry_left_out_with_the_chain_begun_after_it_is_found_by_the_pack_before(
    closed_year: ClosedYear, unpacked: Path
) -> None:
    """The head stays what it was; only the pack of the month before knows where this one has to begin."""
    closed, before = closed_year.closed[8], closed_year.closed[7]
    first, rest = (unpacked / "entries.jsonl").read_text("utf-8").split("\n", 1)
    (unpacked / "entries.jsonl").write_text(rest, "utf-8")
    manifest = json.loads((unpacked / verify_pack.MANIFEST).read_bytes())
    manifest["chain"]["before_sequence"] += 1
    manifest["chain"]["before_hash"] = json.loads(first)["hash"]
    (unpacked / verify_pack.MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    make_manifest_anew(unpacked)
    assert any(
        line.startswith("previous:") for line in verify_pack.verify(unpacked, closed.head_hash, before.path)
    )
