"""The import file as a table, Excel or CSV: one row a person, households told by their number."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from backend.documents.cells import CellFault, Cells, day, fen, needed, one_of, several, yes
from backend.documents.columns import Cell, Column, Kind, Sheet
from backend.documents.table_file import Heading, TableFileError, read_table
from backend.registry.errors import Problem
from backend.registry.import_file import Household, Member, ReadHousehold, RowT

MemberKind = Literal["tenant", "co-resident", "child", "carer"]
KIND_WORDS: dict[MemberKind, str] = {
    "tenant": "承租人",
    "co-resident": "同住人",
    "child": "儿童",
    "carer": "照护人",
}
KINDS: dict[str, MemberKind] = {word: kind for kind, word in KIND_WORDS.items()} | {
    kind: kind for kind in KIND_WORDS
}
RENT_FEN_MAX = 10**9

HEADINGS = (
    Heading("household", ("家庭编号", "household")),
    Heading("estate", ("小区", "estate")),
    Heading("building", ("楼栋", "building")),
    Heading("unit", ("房号", "unit")),
    Heading("rent", ("月租金（元）", "月租金(元)", "月租金", "monthly rent")),
    Heading("from", ("起租日", "from")),
    Heading("ref", ("人员编号", "person")),
    Heading("name", ("姓名", "name")),
    Heading("kind", ("关系", "kind")),
    Heading("born_on", ("出生日期", "born on")),
    Heading("groups", ("门组", "door groups"), required=False),
    Heading("cards", ("卡号", "cards"), required=False),
    Heading("login", ("登录名", "login"), required=False),
    Heading("consent", ("同意人脸开门", "face consent"), required=False),
    Heading("channel", ("同意渠道", "consent channel"), required=False),
    Heading("guardian", ("监护人编号", "guardian"), required=False),
    Heading("relation", ("与监护人关系", "relation"), required=False),
)
_COLUMN_KINDS = {"rent": Kind.YUAN, "from": Kind.DATE, "born_on": Kind.DATE}
# These stand in each row of a household and have to be the same in all of them.
HOUSEHOLD_KEYS = ("estate", "building", "unit", "rent", "from")


def read_households(body: bytes) -> tuple[list[ReadHousehold], list[Problem]]:
    """Every household that can be read, and what is wrong with the others, cell by cell."""
    try:
        table = read_table(body, HEADINGS)
    except TableFileError as error:
        return [], [Problem("(file)", error.zh, error.en)]
    problems: list[Problem] = []
    by_household: dict[str, list[Cells]] = {}
    for row in table.rows:
        cells = Cells(table, row)
        ref = cells.read("household", needed)
        problems += map(_problem, cells.faults)
        if ref is not None:
            by_household.setdefault(ref, []).append(Cells(table, row))
    found = [_household(ref, rows, problems) for ref, rows in by_household.items()]
    return [one for one in found if one is not None], problems


def household_sheet(households: Iterable[ReadHousehold]) -> Sheet:
    """The same as a table that can be read again; numbers of cards are stored nowhere."""
    columns = tuple(
        Column(heading.titles[0], _COLUMN_KINDS.get(heading.key, Kind.TEXT)) for heading in HEADINGS
    )
    return Sheet("住户", columns, _sheet_rows(households))


def _sheet_rows(households: Iterable[ReadHousehold]) -> Iterator[Sequence[Cell]]:
    for one in households:
        row = one.household
        for member in one.members:
            consent = member.face_consent
            yield (
                row.ref, row.estate, row.building, row.unit, row.monthly_rent_fen, row.from_on, member.ref,
                member.name, KIND_WORDS[member.kind], member.born_on, ";".join(member.door_groups),
                ";".join(member.cards), member.login or "", "是" if consent.given else "否", consent.channel,
                consent.guardian or "", consent.relation if consent.guardian else "",
            )  # fmt: skip


def _household(ref: str, rows: Sequence[Cells], problems: list[Problem]) -> ReadHousehold | None:
    first = rows[0]
    for cells in rows[1:]:
        for key in HOUSEHOLD_KEYS:
            if cells.text(key) != first.text(key):
                number = first.row.number
                cells.fault(
                    key,
                    f"同一家庭的各行应相同，与第 {number} 行不符",
                    f"it has to be the same in each row of a household; row {number} has another",
                )
    household = _convert_household(ref, first, len(rows))
    members = [_member(cells) for cells in rows]
    faults = list(itertools.chain.from_iterable(cells.faults for cells in rows))
    problems += map(_problem, faults)
    if household is None:
        return None
    read = [(cells, member) for cells, member in zip(rows, members, strict=True) if member is not None]
    return ReadHousehold(
        row=f"第 {first.row.number} 行 ({ref})",
        household=household,
        members=[member for _, member in read],
        member_rows=[f"第 {cells.row.number} 行 ({member.ref})" for cells, member in read],
    )


def _convert_household(ref: str, cells: Cells, members: int) -> Household | None:
    rent_fen, from_on = cells.read("rent", fen), cells.read("from", day)
    if rent_fen is not None and not 0 <= rent_fen <= RENT_FEN_MAX:
        cells.fault("rent", "月租金超出范围", "the rent is out of its range")
        rent_fen = None
    places = {key: cells.read(key, needed) for key in ("estate", "building", "unit")}
    if rent_fen is None or from_on is None or None in places.values():
        return None
    # Their number is kept, so that a household with a faulty member is known not to be whole.
    plain = {"ref": ref, "monthly_rent_fen": rent_fen, "from": from_on, "members": [None] * members, **places}
    return _converted(cells, "household", plain, Household)


def _member(cells: Cells) -> Member | None:
    kind, born_on = cells.read("kind", one_of(KINDS)), cells.read("born_on", day)
    given = cells.read("consent", yes)
    ref, name = cells.read("ref", needed), cells.read("name", needed)
    if kind is None or born_on is None or given is None or ref is None or name is None:
        return None
    consent = {
        "given": given,
        "channel": cells.text("channel") if given else "",
        "guardian": cells.text("guardian") or None,
    }
    if cells.text("relation"):
        consent["relation"] = cells.text("relation")
    plain = {
        "ref": ref,
        "name": name,
        "kind": kind,
        "born_on": born_on,
        "face_consent": consent,
        "cards": several(cells.text("cards")),
        "login": cells.text("login") or None,
        "door_groups": several(cells.text("groups")),
    }
    return _converted(cells, "ref", plain, Member)


def _converted(cells: Cells, key: str, plain: dict[str, Any], kind: type[RowT]) -> RowT | None:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        cells.fault(key, f"格式不对：{error}", f"wrong shape: {error}")
        return None


def _problem(fault: CellFault) -> Problem:
    return Problem(fault.place, fault.zh, fault.en)
