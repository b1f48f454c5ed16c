"""Who belongs on a panel that matches by itself, until when, and what to do next about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from gateway.decision import Door, Person, Policy, Spans

DAY_S = 86_400.0
REMOVE_MAX, PUT_MAX = 200, 100  # of one command; the family takes 200 and 1,000
RETRY_REFUSED_S = 3_600.0
NOBODY_KNOWS_S = 0.0  # the end of somebody's lease whom the panel did not get from us
SLACK_S = 1.0  # a panel's times are whole seconds

_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

HeldState: TypeAlias = Literal["putting", "on", "removing", "refused"]


class Held(Struct, frozen=True):
    """A person whom a panel may hold: written down before it is told to, and until it has confirmed."""

    person: str
    until_s: float  # the panel opens for the person until then, at the latest
    state: HeldState
    since_s: float
    reason: str = ""


class Remove(Struct, frozen=True):
    """Have the panel forget these."""

    people: tuple[str, ...]


class Put(Struct, frozen=True):
    """Have the panel know these until then; `pictures`: it does not have their pictures yet."""

    people: tuple[tuple[str, float], ...]
    pictures: bool


Step: TypeAlias = Remove | Put


def wanted(
    policy: Policy, door: Door, people: Iterable[Person], photographed: Container[str], now_s: float
) -> dict[str, float]:
    """Whom a panel is to know, and the end of each one's lease.

    A right of this door live now, consent to faces and to the photograph for panels, and that photograph:
    without any of them a person is not on the panel.
    """
    if not policy.faces or not policy.panels_match or not door.active or "face" not in door.credentials:
        return {}
    horizon_s = now_s + policy.roster_lease_days * DAY_S
    ends = {
        person.person_id: _lease_end(person.rights.get(door.group, ()), now_s, horizon_s)
        for person in people
        if person.face_consent and person.panel_consent and person.person_id in photographed
    }
    return {person: until_s for person, until_s in ends.items() if until_s > now_s}


def next_step(
    wanted: Mapping[str, float], held: Mapping[str, Held], now_s: float, lease_s: float
) -> Step | None:
    """The next thing to tell a panel; None when it is as it should be.

    Whoever may not enter any more goes first, then leases that have become shorter, then newcomers; a lease
    is renewed when half of it is over.
    """
    gone = sorted(person for person in held if person not in wanted)
    if gone:
        return Remove(tuple(gone[:REMOVE_MAX]))
    known = {person: one for person, one in held.items() if one.state == "on"}
    shorter = [(p, s) for p, s in wanted.items() if p in known and known[p].until_s > s + SLACK_S]
    if shorter:
        return Put(tuple(sorted(shorter)[:1]), pictures=False)
    fresh = [(p, s) for p, s in wanted.items() if _is_due(held.get(p), now_s)]
    if fresh:
        return Put(tuple(sorted(fresh)[:PUT_MAX]), pictures=True)
    due = [(p, s) for p, s in wanted.items() if p in known and s - known[p].until_s > lease_s / 2]
    return Put(tuple(sorted(due)[:1]), pictures=False) if due else None


class Difference(Struct, frozen=True):
    """How a panel's own list differs from ours."""

    missing: tuple[str, ...] = ()  # we thought they were there
    extra: tuple[str, ...] = ()  # we never put them there, or had them removed
    nameless: int = 0  # enrolled on the panel's own page, without a reference of ours
    gone: tuple[str, ...] = ()  # to be removed, and not there any more

    @property
    def is_none(self) -> bool:
        """Whether both lists are the same."""
        return not (self.missing or self.extra or self.nameless)


def compare(listed: Iterable[str], held: Mapping[str, Held]) -> Difference:
    """The panel's own list beside what we hold it to have."""
    on_panel = list(listed)
    there = {person for person in on_panel if person}
    return Difference(
        missing=tuple(sorted(p for p, one in held.items() if one.state == "on" and p not in there)),
        extra=tuple(sorted(p for p in there if p not in held)),
        nameless=sum(not person for person in on_panel),
        gone=tuple(sorted(p for p, one in held.items() if one.state == "removing" and p not in there)),
    )


def our_reference(reference: str) -> str | None:
    """A reference that can be one of ours; what somebody else has put on a panel is told to nobody."""
    return reference if _OURS.fullmatch(reference) else None


def _is_due(held: Held | None, now_s: float) -> bool:
    if held is None or held.state in ("putting", "removing"):
        return True
    return held.state == "refused" and now_s - held.since_s >= RETRY_REFUSED_S


def _lease_end(spans: Spans, now_s: float, horizon_s: float) -> float:
    return max((min(end_s, horizon_s) for begin_s, end_s in spans if begin_s <= now_s < end_s), default=0.0)
