"""What an import file may say, checked against what is registered already. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from backend.registry.errors import Problem
from backend.registry.import_file import Member, ReadHousehold
from backend.registry.rules import is_adult, needs_guardian


@dataclass(frozen=True, slots=True)
class KnownTenancy:
    """A tenancy of a unit; `ref` is its household's."""

    ref: str
    monthly_rent_fen: int
    from_on: date
    to_on: date | None


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A registered person; `household_ref` is the household of the newest membership."""

    person_id: UUID
    household_ref: str | None
    name: str
    kind: str | None
    born_on: date


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry has of the estates in the file.

    Attributes:
        estates: those that exist; the acting principal may register people in each.
        units: by (estate, building, number).
        households, people: by (estate, ref).
        tenancies: by unit.
        card_holders: who holds a card that the file names, by (estate, number).
        groups: door groups as (estate, group).
        logins: those of the file that are taken.
        notice: whether people can consent to faces at all.
    """

    estates: frozenset[str]
    units: Mapping[tuple[str, str, str], UUID]
    households: Mapping[tuple[str, str], UUID]
    people: Mapping[tuple[str, str], KnownPerson]
    tenancies: Mapping[UUID, Sequence[KnownTenancy]]
    card_holders: Mapping[tuple[str, str], UUID]
    groups: frozenset[tuple[str, str]]
    logins: frozenset[str]
    notice: bool


def check(file: Sequence[ReadHousehold], known: Known, today: date) -> list[Problem]:
    """Everything that is wrong with the file, by row; empty when it may be imported whole."""
    problems = [*_repeated(file)]
    for one in file:
        problems += [Problem(one.row, zh, en) for zh, en in _household(one, known)]
        if one.household.estate not in known.estates:
            continue
        for row, member in zip(one.member_rows, one.members, strict=True):
            problems += [Problem(row, zh, en) for zh, en in _member(one, member, known, today)]
    return problems


def is_new(one: ReadHousehold, member: Member, known: Known) -> bool:
    """Whether a member is registered by this import; a known one is left as it is."""
    return (one.household.estate, member.ref) not in known.people


Words = tuple[str, str]


def _repeated(file: Sequence[ReadHousehold]) -> Iterator[Problem]:
    seen: Counter[tuple[str, ...]] = Counter()
    for one in file:
        estate = one.household.estate
        # In the whole file, households and people together: the answer maps refs to ids.
        seen[("ref", "", one.household.ref)] += 1
        seen[("unit", estate, f"{one.household.building}/{one.household.unit}")] += 1
        for member in one.members:
            seen[("ref", "", member.ref)] += 1
            for number in member.cards:
                seen[("card", estate, number)] += 1
            if member.login is not None:
                seen[("login", "", member.login.lower())] += 1
    for (what, _, name), count in seen.items():
        if count > 1:
            # A card's number stays out of the message: it may end up in a log.
            shown = "" if what == "card" else f" {name}"
            yield Problem(
                "(file)", f"{what}{shown} 在文件中出现 {count} 次", f"{what}{shown} stands here {count} times"
            )


def _household(one: ReadHousehold, known: Known) -> Iterator[Words]:
    row = one.household
    if row.estate not in known.estates:
        yield f"没有小区 {row.estate}", f"there is no estate {row.estate}"
        return
    unit_id = known.units.get((row.estate, row.building, row.unit))
    if unit_id is None:
        yield f"没有房源 {row.building}/{row.unit}", f"there is no unit {row.building}/{row.unit}"
        return
    tenancies = known.tenancies.get(unit_id, ())
    if (row.estate, row.ref) in known.households:
        facts = (row.ref, row.monthly_rent_fen, row.from_on)
        if not any((each.ref, each.monthly_rent_fen, each.from_on) == facts for each in tenancies):
            yield (
                "该家庭已登记，但房源、租金或起始日与登记不符；变更请另行办理",
                "the household is registered with another unit, rent or first day; change it there",
            )
    elif any(each.to_on is None or each.to_on > row.from_on for each in tenancies):
        yield "该房源在此期间已有租约", "the unit is let already in that time"
    if one.whole and not any(member.kind == "tenant" for member in one.members):
        yield "至少要有一位承租人（kind = tenant）", "there has to be a member of kind tenant"


def _member(one: ReadHousehold, member: Member, known: Known, today: date) -> Iterator[Words]:
    estate = one.household.estate
    registered = known.people.get((estate, member.ref))
    if registered is not None:
        facts = (one.household.ref, member.name, member.kind, member.born_on)
        theirs = (registered.household_ref, registered.name, registered.kind, registered.born_on)
        if facts != theirs:
            yield (
                "此人已登记，但家庭、姓名、关系或出生日期与登记不符；变更请另行办理",
                "the person is registered with another household, name, kind or birthday; change it there",
            )
        return
    if member.born_on > today:
        yield "出生日期在将来", "the birthday is in the future"
    for group in member.door_groups:
        if (estate, group) not in known.groups:
            yield f"没有门组 {group}", f"there is no door group {group}"
    if any((estate, number) in known.card_holders for number in member.cards):
        yield "有一张卡已发给他人", "somebody else holds one of the cards"
    if member.login is not None and member.login.lower() in known.logins:
        yield f"登录名 {member.login} 已被使用", f"the login {member.login} is taken"
    if member.face_consent.given:
        yield from _consent(one, member, known, today)


def _consent(one: ReadHousehold, member: Member, known: Known, today: date) -> Iterator[Words]:
    consent = member.face_consent
    if not known.notice:
        yield "还没有发布人脸告知书，不能登记同意", "no notice about faces was published to consent to"
    if not consent.channel:
        yield "同意须写明渠道（channel）", "a consent names its channel"
    if consent.guardian is None:
        if needs_guardian(member.born_on, today):
            yield "未满十四周岁，须由监护人同意（guardian）", "below 14 a guardian has to consent"
        return
    born_on = _born_on(one, consent.guardian, known)
    if born_on is None or consent.guardian == member.ref:
        yield f"没有监护人 {consent.guardian}", f"there is no guardian {consent.guardian}"
    elif not is_adult(born_on, today):
        yield "监护人须满十八周岁", "a guardian has to be of age"


def _born_on(one: ReadHousehold, ref: str, known: Known) -> date | None:
    """The guardian's birthday: somebody of the same household, or registered in the estate."""
    for member in one.members:
        if member.ref == ref:
            return member.born_on
    registered = known.people.get((one.household.estate, ref))
    return registered.born_on if registered is not None else None
