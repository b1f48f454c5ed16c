"""The import file as JSON: households with their people, read so that each faulty one is named."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from backend.registry.errors import Problem

# PostgreSQL's text takes no NUL, and a name with control characters is no name.
Ref = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,80}$")]

RowT = TypeVar("RowT")

FILE_BYTES_MAX = 64 * 1024 * 1024


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all rows have in common."""


class FaceConsent(Row, frozen=True):
    """Whether somebody consented to faces, how it was told, and a child's guardian by ref."""

    given: bool
    channel: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,40}$")] = ""
    guardian: Ref | None = None
    relation: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,20}$")] = "监护人"


class Member(Row, frozen=True):
    """One person of a household."""

    ref: Ref
    name: Name
    kind: Literal["tenant", "co-resident", "child", "carer"]
    born_on: date
    face_consent: FaceConsent = FaceConsent(given=False)
    cards: list[Annotated[str, Meta(min_length=1, max_length=64)]] = []
    login: Annotated[str, Meta(pattern=r"^[^\s\x00-\x1f\x7f]{1,64}$")] | None = None
    door_groups: list[str] = []


class Household(Row, frozen=True):
    """One household and its tenancy; `members` are read one by one."""

    ref: Ref
    estate: Ref
    building: Ref
    unit: Ref
    monthly_rent_fen: Annotated[int, Meta(ge=0, le=10**9)]
    from_on: date = msgspec.field(name="from")
    members: Annotated[list[Any], Meta(min_length=1)]


class ReadHousehold(msgspec.Struct, frozen=True):
    """A household that could be read, and where it and its members stand in the file."""

    row: str
    household: Household
    members: list[Member]
    member_rows: list[str]

    @property
    def whole(self) -> bool:
        """Whether every member could be read."""
        return len(self.members) == len(self.household.members)


def read_json(body: bytes) -> tuple[list[ReadHousehold], list[Problem]]:
    """Every household that can be read, and what is wrong with the others."""
    if len(body) > FILE_BYTES_MAX:
        return [], [Problem("(file)", "文件过大，请分批导入", "the file is too large; import it in parts")]
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return [], [Problem("(file)", f"不是有效的 JSON：{error}", f"not valid JSON: {error}")]
    if (
        not isinstance(plain, dict)
        or set(plain) != {"households"}
        or not isinstance(plain["households"], list)
    ):
        return [], [
            Problem("(file)", '顶层应为 {"households": [...]}', 'the top has to be {"households": [...]}')
        ]
    problems: list[Problem] = []
    found = [
        one
        for number, row in enumerate(plain["households"])
        if (one := _household(f"households[{number}]", row, problems)) is not None
    ]
    return found, problems


def _household(row: str, plain: object, problems: list[Problem]) -> ReadHousehold | None:
    household = _convert(row, plain, Household, problems)
    if household is None:
        return None
    row = f"{row} ({household.ref})"
    members: list[Member] = []
    for number, plain_member in enumerate(household.members):
        member = _convert(f"{row}.members[{number}]", plain_member, Member, problems)
        if member is not None:
            members.append(member)
    rows = [f"{row}.members[{number}] ({member.ref})" for number, member in enumerate(members)]
    return ReadHousehold(row, household, members, rows)


def _convert(row: str, plain: object, kind: type[RowT], problems: list[Problem]) -> RowT | None:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        problems.append(Problem(row, f"格式不对：{error}", f"wrong shape: {error}"))
        return None
