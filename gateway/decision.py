"""Whether a door opens: every rule, in its order, as one pure function of what is known.

Neither rent nor any debt is an input here, and never may be. The order of the rules is the order of
`gateway.causes.CAUSES`; the last one, `granted`, holds when none before it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Literal, TypeAlias

from msgspec import Struct

from gateway import causes
from gateway.causes import Cause
from gateway.messages import Credential, Liveness

Timing: TypeAlias = Literal["fresh", "late", "skewed"]
Recognition: TypeAlias = Literal[
    "match", "unsure", "unknown", "busy", "unavailable", "not_usable", "blocked", "no_key", "expired", "used"
]
DoorState: TypeAlias = Literal["normal", "released", "locked"]
Passback: TypeAlias = Literal["off", "soft", "hard"]
# ISO weekdays, and from when till when in minutes of the day
Hours: TypeAlias = tuple[tuple[frozenset[int], int, int], ...]
RightState: TypeAlias = Literal["live", "ended", "not_begun", "none"]
Spans: TypeAlias = tuple[tuple[float, float], ...]


class Door(Struct, frozen=True):
    """A door as the roster has it."""

    device: str
    group: str
    credentials: frozenset[str]
    active: bool = True
    name_zh: str = ""
    name_en: str = ""
    way: Literal["in", "out"] = "in"
    protocol: str = "native"
    hours: Hours | None = None  # when residents may use it; None: always

    @property
    def face_only(self) -> bool:
        """Whether it is configured to take faces and nothing else, which is refused."""
        return self.credentials == {"face"}


class Policy(Struct, frozen=True):
    """What an estate has decided about faces."""

    faces: bool = False
    liveness_waiver_until: date | None = None  # faces without a verdict are taken before this day
    panels_match: bool = False  # panels with a roster of their own open by themselves
    roster_lease_days: int = 7  # the longest a person stays on such a panel without being renewed
    passback: Passback = "soft"  # in twice without going out: recorded and told, or refused


class Person(Struct, frozen=True):
    """A person as the gateway knows one: an opaque id, rights by door group, and consent."""

    person_id: str
    rights: Mapping[str, Spans]  # door group -> [from, to) in seconds since 1970
    face_consent: bool = False
    panel_consent: bool = False  # to a photograph kept for loading the panels that match by themselves


class Attempt(Struct, frozen=True):
    """What is known before anybody is recognised."""

    door: Door | None
    policy: Policy
    credential: Credential
    today: date  # on the estate's calendar
    timing: Timing = "fresh"
    resent: bool = False
    liveness: Liveness | None = None
    state: DoorState = "normal"
    outside_hours: bool = False
    too_many: bool = False  # wrong codes at this door or in this estate, in the last minutes


class Finding(Struct, frozen=True):
    """Whom the credential belongs to, and that person's right at this door now."""

    recognition: Recognition
    person: Person | None = None
    right: RightState = "none"
    duress: bool = False
    passback: bool = False  # in already, by the last records
    pass_id: str | None = None  # of a visitor's pass


class Decision(Struct, frozen=True):
    """The answer, and who it was about."""

    cause: Cause
    person_id: str | None = None
    ask: tuple[str, ...] = ()
    pass_id: str | None = None


_Early: TypeAlias = Callable[[Attempt], bool]
_Later: TypeAlias = Callable[[Attempt, Finding], bool]


def _no_verdict(attempt: Attempt) -> bool:
    until = attempt.policy.liveness_waiver_until
    waived = until is not None and attempt.today < until
    return attempt.credential == "face" and attempt.liveness is None and not waived


def _by_face(attempt: Attempt) -> bool:
    """Recognised by the face, whether here or by a panel's own match."""
    return attempt.credential in ("face", "panel")


def _taken(attempt: Attempt) -> bool:
    """Whether the door takes the credential. A panel's own match: where the estate lets them."""
    door = attempt.door
    if door is None or attempt.credential == "remote":
        return True
    if attempt.credential == "visitor":
        # A pass is a code to type or to show: where either is taken, so is a visitor's.
        return bool(door.credentials & {"pin", "qr", "visitor"})
    if attempt.credential != "panel":
        return attempt.credential in door.credentials
    return attempt.policy.panels_match and "face" in door.credentials


def _consents(attempt: Attempt, person: Person) -> bool:
    return person.face_consent and (attempt.credential == "face" or person.panel_consent)


def _face(recognition: Recognition) -> _Later:
    return lambda attempt, finding: finding.recognition == recognition and _by_face(attempt)


def _by(credential: Credential, recognition: Recognition) -> _Later:
    return lambda attempt, finding: finding.recognition == recognition and attempt.credential == credential


def _inward(holds: _Early) -> _Early:
    """A rule of the way in: nothing here ever locks the way out."""
    return lambda attempt: (attempt.door is None or attempt.door.way == "in") and holds(attempt)


def _released(attempt: Attempt) -> bool:
    # The lock is held open anyway; only who stands there now is answered.
    return attempt.state == "released" and attempt.timing == "fresh" and not attempt.resent


def _nobodys_card(attempt: Attempt, finding: Finding) -> bool:
    known = finding.recognition in ("match", "blocked", "no_key") and finding.person is not None
    return attempt.credential == "card" and not known


def _nobodys(credential: Credential) -> _Later:
    """A code that leads to nobody."""
    return lambda attempt, finding: (
        attempt.credential == credential and finding.recognition not in ("match", "expired", "used", "no_key")
    )


def _right(state: RightState) -> _Later:
    return lambda _attempt, finding: finding.right == state


_WHERE: tuple[tuple[Cause, _Early], ...] = (
    (causes.UNKNOWN_DEVICE, lambda attempt: attempt.door is None),
    (causes.RELEASED, _released),
    (causes.DEVICE_OUT_OF_USE, lambda attempt: attempt.door is not None and not attempt.door.active),
)
_WHEN: tuple[tuple[Cause, _Early], ...] = (
    (causes.ANSWER_UNKNOWN, lambda attempt: attempt.resent),
    (causes.CLOCK_SKEW, lambda attempt: attempt.timing == "skewed"),
    (causes.LATE, lambda attempt: attempt.timing == "late"),
)
_ORDERED: tuple[tuple[Cause, _Early], ...] = (
    (
        causes.DOOR_IN_LOCKDOWN,
        _inward(lambda attempt: attempt.state == "locked" and attempt.credential != "remote"),
    ),
)
_HOW: tuple[tuple[Cause, _Early], ...] = (
    (
        causes.DOOR_FACE_ONLY,
        lambda attempt: (
            attempt.door is not None and attempt.door.face_only and attempt.credential != "remote"
        ),
    ),
    (causes.CREDENTIAL_NOT_TAKEN, lambda attempt: not _taken(attempt)),
    (causes.TOO_MANY_ATTEMPTS, lambda attempt: attempt.too_many),
    (causes.FACES_OFF, lambda attempt: _by_face(attempt) and not attempt.policy.faces),
    (causes.LIVENESS_FAILED, lambda attempt: attempt.credential == "face" and attempt.liveness == "spoof"),
    (causes.LIVENESS_MISSING, _no_verdict),
)
_WHO: tuple[tuple[Cause, _Later], ...] = (
    (causes.ENCODER_BUSY, _face("busy")),
    (causes.ENCODER_UNAVAILABLE, _face("unavailable")),
    (causes.FACE_NOT_USABLE, _face("not_usable")),
    (
        causes.UNKNOWN_PERSON,
        # Also a match without a person: whom the vault still knows has left the roster.
        lambda attempt, finding: (
            _by_face(attempt)
            and finding.recognition != "unsure"
            and (finding.recognition != "match" or finding.person is None)
        ),
    ),
    (causes.FACE_UNSURE, _face("unsure")),
    (causes.CARD_KEY_MISSING, lambda _attempt, finding: finding.recognition == "no_key"),
    (causes.UNKNOWN_CARD, _nobodys_card),
    (causes.CARD_BLOCKED, _by("card", "blocked")),
    (causes.PIN_WRONG, _nobodys("pin")),
    (causes.QR_INVALID, _nobodys("qr")),
    (causes.QR_EXPIRED, _by("qr", "expired")),
    (causes.CODE_USED, _by("qr", "used")),
    (causes.PASS_UNKNOWN, _nobodys("visitor")),
    (causes.PASS_USED_UP, _by("visitor", "used")),
    (
        causes.NO_CONSENT,
        lambda attempt, finding: (
            _by_face(attempt) and finding.person is not None and not _consents(attempt, finding.person)
        ),
    ),
    (causes.WRONG_DOOR, _right("none")),
    (causes.RIGHT_NOT_BEGUN, _right("not_begun")),
    (causes.RIGHT_ENDED, _right("ended")),
    (causes.OUTSIDE_HOURS, lambda attempt, _finding: attempt.outside_hours),
    (
        causes.PASSBACK,
        lambda attempt, finding: finding.passback and attempt.policy.passback == "hard",
    ),
)
_OPEN: tuple[tuple[Cause, _Later], ...] = (
    (causes.WAY_OUT, lambda attempt, finding: not _way_in(attempt) and _refused(attempt, finding)),
    (causes.OPENED_BY_GUARD, lambda attempt, _finding: attempt.credential == "remote"),
    (causes.GRANTED_UNDER_DURESS, lambda _attempt, finding: finding.duress),
    (causes.GRANTED_PASSBACK, lambda _attempt, finding: finding.passback),
)
_BEFORE = _WHERE + _WHEN + _ORDERED

PRECEDENCE: tuple[Cause, ...] = (
    *(cause for cause, _ in _BEFORE + _HOW),
    *(cause for cause, _ in _WHO + _OPEN),
    causes.GRANTED,
)


def _way_in(attempt: Attempt) -> bool:
    return attempt.door is None or attempt.door.way == "in"


def _refused(attempt: Attempt, finding: Finding) -> bool:
    """Whether anything would keep this person out, were it a way in."""
    if attempt.credential == "remote":
        return False
    early = any(holds(attempt) for _, holds in _HOW)
    return early or any(holds(attempt, finding) for _, holds in _WHO)


def before_recognition(attempt: Attempt) -> Decision | None:
    """The answer where it is clear before anybody is recognised; None where it is not."""
    for cause, holds in _BEFORE + _HOW:
        if holds(attempt):
            kept_in = not _way_in(attempt) and (cause, holds) in _HOW
            return _decided(causes.WAY_OUT if kept_in else cause, attempt, _NOBODY)
    return None


def worth_recognising(attempt: Attempt) -> bool:
    """Whether to look for the person: also of a late or repeated event, whose record then has a name."""
    return not any(holds(attempt) for _, holds in _WHERE + _HOW)


def decide(attempt: Attempt, finding: Finding) -> Decision:
    """The answer to an attempt: the first cause in order of precedence that holds."""
    way_in = _way_in(attempt)
    for cause, holds in _BEFORE + _HOW if way_in else _BEFORE:
        if holds(attempt):
            return _decided(cause, attempt, finding)
    if way_in and attempt.credential != "remote":
        for cause, holds_now in _WHO:
            if holds_now(attempt, finding):
                return _decided(cause, attempt, finding)
    for cause, holds_now in _OPEN:
        if holds_now(attempt, finding):
            return _decided(cause, attempt, finding)
    return _decided(causes.GRANTED, attempt, finding)


def right_at(person: Person, group: str, now_s: float) -> RightState:
    """A person's right for a door group at one moment."""
    spans = person.rights.get(group, ())
    if any(begin <= now_s < end for begin, end in spans):
        return "live"
    if any(now_s < begin for begin, _ in spans):
        return "not_begun"
    return "ended" if spans else "none"


def within_hours(hours: Hours | None, weekday: int, minute: int) -> bool:
    """Whether a door may be used now.

    Args:
        weekday: 1 Monday to 7 Sunday, on the estate's calendar.
        minute: of that day.
    """
    return hours is None or any(weekday in days and begin <= minute < end for days, begin, end in hours)


_NOBODY = Finding("unknown")


def _decided(cause: Cause, attempt: Attempt, finding: Finding) -> Decision:
    person = finding.person if finding.recognition in ("match", "blocked") else None
    ask: tuple[str, ...] = ()
    if cause.outcome == "ask" and attempt.door is not None:
        used = {"face" if attempt.credential == "panel" else attempt.credential}
        ask = tuple(sorted(attempt.door.credentials - used))
    return Decision(cause, person.person_id if person is not None else None, ask, finding.pass_id)
