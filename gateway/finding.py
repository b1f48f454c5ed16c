"""Whom a credential belongs to, and what has to be remembered once it was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from gateway.alarms import AlarmKind
from gateway.cases import Case, Faces, Floats
from gateway.codes import GUESSABLE, WRONG_GUESSES, Guesses, UsedCodes, read_qr
from gateway.decision import Decision, Door, Finding, worth_recognising
from gateway.drivers import Address, PanelVerdict
from gateway.passback import Inside
from gateway.records import AccessRecord
from gateway.roster import EstateRoster

SECOND_WITHIN_S = 30.0  # a card shown this soon after an unsure face is the same person's, or is not
_NOBODY = Finding("unknown")
_WITH_CODE = frozenset({"card", "pin", "qr"})

Sound = Callable[[Address, AlarmKind, float, str | None], object]


class Finder:
    """Belongs to the loop.

    Args:
        card_keys: the estates' keys for references.
        faces: for comparing a face with one named person.
        guesses: wrong codes of the last minutes.
        pass_uses: how often each visitor's pass was used; counted on here.
        sound: raises an alarm (device, kind, when, person).
    """

    def __init__(
        self,
        card_keys: Mapping[str, bytes],
        faces: Faces,
        guesses: Guesses,
        pass_uses: dict[str, int],
        sound: Sound,
    ) -> None:
        self._card_keys, self._faces, self._guesses = card_keys, faces, guesses
        self._pass_uses, self._sound = pass_uses, sound
        self._used, self._inside = UsedCodes(), Inside()
        self._unsure: dict[Address, tuple[float, Floats]] = {}

    def find(self, case: Case) -> Finding | None:
        """Whom a case is about; None where templates have to be matched for it."""
        event = case.event
        if case.recognition is not None:
            return Finding(case.recognition)
        if event.credential in GUESSABLE and self._guesses.too_many(event.address, case.judged_s):
            case.attempt = structs.replace(case.attempt, too_many=True)
        if not worth_recognising(case.attempt) or event.credential == "remote":
            return _NOBODY
        if event.verdict is not None:
            return self._passback(case, _find_by_panel(case, event.verdict))
        if event.credential == "face":
            return Finding("not_usable") if event.templates and not self._faces.takes_templates else None
        return self._passback(case, self._by_code(case))

    def recall(self, record: AccessRecord, roster: EstateRoster) -> None:
        """Take up what an answer of before the start left to be remembered; in the records' order.

        The uses of visitors' passes are counted on the disk itself.
        """
        address, at_s = Address(record.estate, record.device), record.received_at.timestamp()
        door = roster.doors.get(record.device)
        if record.cause in WRONG_GUESSES:
            self._guesses.wrong(address, at_s)
        if record.outcome != "open" or record.person is None or door is None:
            return
        if record.credential == "qr" and (qr_id := roster.qr_of(record.person)) is not None:
            self._used.recall(qr_id, door.group, at_s)
        if door.group in roster.two_way_groups:
            self._inside.passed(record.estate, door.group, record.person, door.way, at_s)

    def person(self, case: Case, person_id: str) -> Finding:
        """What is known of the person whose face was recognised."""
        finding = case.roster.find_person(person_id, door_of(case).group, case.judged_s)
        return self._passback(case, finding)

    def answered(self, case: Case, decision: Decision) -> bool | None:
        """Remember what the next answers depend on.

        Returns:
            Whether an unsure face just before was this person's; None where there was none.
        """
        event, cause, now_s = case.event, decision.cause, case.judged_s
        address = event.address
        if cause.code in WRONG_GUESSES:
            self._guesses.wrong(address, now_s)
            if self._guesses.too_many(address, now_s):
                self._sound(address, "codes_guessed", now_s, None)
        if cause.outcome == "ask" and case.track is not None:
            self._unsure[address] = (now_s, case.track)
        if cause.outcome != "open":
            return None
        if decision.pass_id is not None:
            self._pass_uses[decision.pass_id] = self._pass_uses.get(decision.pass_id, 0) + 1
        if event.credential == "qr" and case.seed is not None and (shown := read_qr(event.code)) is not None:
            self._used.use(case.seed, shown, now_s)
        if decision.person_id is None:
            return None
        self._passed(case, decision.person_id, cause.code)
        return self._confirmed(case, decision.person_id)

    def _by_code(self, case: Case) -> Finding:
        event, roster, now_s = case.event, case.roster, case.judged_s
        key, group = self._card_keys.get(event.address.estate), door_of(case).group
        if event.credential == "card":
            return roster.find_card(event.card, key, group, now_s)
        if event.credential == "pin":
            return roster.find_pin(event.code, key, group, now_s)
        if event.credential == "visitor":
            return roster.find_pass(event.code, key, group, now_s, self._pass_uses)
        finding, case.seed = roster.find_qr(event.code, key, group, now_s, self._used)
        return finding

    def _passback(self, case: Case, finding: Finding) -> Finding:
        door, person = door_of(case), finding.person
        if person is None or door.way != "in" or door.group not in case.roster.two_way_groups:
            return finding
        estate = case.event.address.estate
        if case.roster.policy.passback == "off" or not self._inside.is_in(
            estate, door.group, person.person_id, case.judged_s
        ):
            return finding
        return structs.replace(finding, passback=True)

    def _passed(self, case: Case, person_id: str, code: str) -> None:
        address, door = case.event.address, door_of(case)
        if door.group in case.roster.two_way_groups:
            self._inside.passed(address.estate, door.group, person_id, door.way, case.judged_s)
        if code == "granted_under_duress":
            self._sound(address, "duress", case.judged_s, person_id)
        if code == "granted_passback":
            self._sound(address, "passback", case.judged_s, person_id)

    def _confirmed(self, case: Case, person_id: str) -> bool | None:
        unsure = self._unsure.pop(case.event.address, None) if case.event.credential in _WITH_CODE else None
        if unsure is None or case.judged_s - unsure[0] > SECOND_WITHIN_S:
            return None
        return self._faces.confirms(case.event.address.estate, person_id, unsure[1])


def door_of(case: Case) -> Door:
    """The door of a case; one without a door is never looked up."""
    door = case.attempt.door
    if door is None:
        raise RuntimeError("a case without a door is set aside before it is decided")
    return door


def _find_by_panel(case: Case, verdict: PanelVerdict) -> Finding:
    """The device's own match: whom it means is for our roster to say."""
    if verdict != "match":
        return Finding(verdict)
    return case.roster.find_person(case.event.person, door_of(case).group, case.judged_s)
