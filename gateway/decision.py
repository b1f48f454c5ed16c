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
    "match", "unsure", "unknown", "busy", "unavailable", "not_usable", "blocked", "no_key"
]
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


class Finding(Struct, frozen=True):
    """Whom the credential belongs to, and that person's right at this door now."""

    recognition: Recognition
    person: Person | None = None
    right: RightState = "none"


class Decision(Struct, frozen=True):
    """The answer, and who it was about."""

    cause: Cause
    person_id: str | None = None
    ask: tuple[str, ...] = ()


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
    if door is None or attempt.credential != "panel":
        return door is None or attempt.credential in door.credentials
    return attempt.policy.panels_match and "face" in door.credentials


def _consents(attempt: Attempt, person: Person) -> bool:
    return person.face_consent and (attempt.credential == "face" or person.panel_consent)


def _face(recognition: Recognition) -> _Later:
    return lambda attempt, finding: finding.recognition == recognition and _by_face(attempt)


def _card(recognition: Recognition) -> _Later:
    return lambda attempt, finding: finding.recognition == recognition and attempt.credential == "card"


def _right(state: RightState) -> _Later:
    return lambda _attempt, finding: finding.right == state


_WHERE: tuple[tuple[Cause, _Early], ...] = (
    (causes.UNKNOWN_DEVICE, lambda attempt: attempt.door is None),
    (causes.DEVICE_OUT_OF_USE, lambda attempt: attempt.door is not None and not attempt.door.active),
)
_WHEN: tuple[tuple[Cause, _Early], ...] = (
    (causes.ANSWER_UNKNOWN, lambda attempt: attempt.resent),
    (causes.CLOCK_SKEW, lambda attempt: attempt.timing == "skewed"),
    (causes.LATE, lambda attempt: attempt.timing == "late"),
)
_HOW: tuple[tuple[Cause, _Early], ...] = (
    (
        causes.DOOR_FACE_ONLY,
        lambda attempt: attempt.door is not None and attempt.door.face_only,
    ),
    (
        causes.CREDENTIAL_NOT_TAKEN,
        lambda attempt: not _taken(attempt),
    ),
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
    (causes.CARD_KEY_MISSING, _card("no_key")),
    (
        causes.UNKNOWN_CARD,
        lambda attempt, finding: (
            attempt.credential == "card"
            and (finding.recognition not in ("match", "blocked") or finding.person is None)
        ),
    ),
    (causes.CARD_BLOCKED, _card("blocked")),
    (
        causes.NO_CONSENT,
        lambda attempt, finding: (
            _by_face(attempt) and finding.person is not None and not _consents(attempt, finding.person)
        ),
    ),
    (causes.WRONG_DOOR, _right("none")),
    (causes.RIGHT_NOT_BEGUN, _right("not_begun")),
    (causes.RIGHT_ENDED, _right("ended")),
)
_BEFORE = _WHERE + _WHEN + _HOW

PRECEDENCE: tuple[Cause, ...] = (
    *(cause for cause, _ in _BEFORE),
    *(cause for cause, _ in _WHO),
    causes.GRANTED,
)


def before_recognition(attempt: Attempt) -> Decision | None:
    """The answer where it is clear before anybody is recognised; None where it is not."""
    for cause, holds in _BEFORE:
        if holds(attempt):
            return _decided(cause, attempt, None)
    return None


def worth_recognising(attempt: Attempt) -> bool:
    """Whether to look for the person: also of a late or repeated event, whose record then has a name."""
    return not any(holds(attempt) for _, holds in _WHERE + _HOW)


def decide(attempt: Attempt, finding: Finding) -> Decision:
    """The answer to an attempt: the first cause in order of precedence that holds."""
    person = finding.person if finding.recognition in ("match", "blocked") else None
    for cause, holds in _BEFORE:
        if holds(attempt):
            return _decided(cause, attempt, person)
    for cause, holds_now in _WHO:
        if holds_now(attempt, finding):
            return _decided(cause, attempt, person)
    return _decided(causes.GRANTED, attempt, person)


def right_at(person: Person, group: str, now_s: float) -> RightState:
    """A person's right for a door group at one moment."""
    spans = person.rights.get(group, ())
    if any(begin <= now_s < end for begin, end in spans):
        return "live"
    if any(now_s < begin for begin, _ in spans):
        return "not_begun"
    return "ended" if spans else "none"


def _decided(cause: Cause, attempt: Attempt, person: Person | None) -> Decision:
    ask: tuple[str, ...] = ()
    if cause.outcome == "ask" and attempt.door is not None:
        used = {"face" if attempt.credential == "panel" else attempt.credential}
        ask = tuple(sorted(attempt.door.credentials - used))
    return Decision(cause, person.person_id if person is not None else None, ask)
