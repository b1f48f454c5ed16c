"""What goes down to a panel of the `mqtt/face` family: our commands in its words."""

from __future__ import annotations

from datetime import UTC, datetime, timezone
from typing import Any, TypeAlias

from gateway.drivers import commands

Letter: TypeAlias = dict[str, Any]
PanelCommand: TypeAlias = (
    commands.OpenDoor
    | commands.GreetBack
    | commands.SetTime
    | commands.ResumeOn
    | commands.ReplayRecords
    | commands.PutPerson
    | commands.PutPeople
    | commands.RemovePeople
    | commands.ListPeople
    | commands.CountPeople
)
UNLOCK_ID = "unlock:"  # before the event's id, in the opening that answers it

_RESUMES = {"StrangerUploadType": 0, "RecordUploadType": 2, "ResumefromBreakpoint": 1}
# Why a command failed. The same number means different things by command, so the key is both.
ERRORS: dict[tuple[str, int], str] = {
    ("EditPerson", 461): "no_reference",
    ("AddPersons", 461): "reference_exists",
    ("EditPersonsNew", 410): "busy",
    ("DeletePersons", 410): "busy",
}


def error_name(operator: str, code: int | None) -> str:
    """A failure in one word; a number we do not know is shown as it is."""
    if code is None:
        return "refused"
    return ERRORS.get((operator, code), f"{operator}:{code}")


def opening(event_id: str, words: str) -> Letter:
    """Open for the event that was just answered; its acknowledgement names the event."""
    return _letter("Unlock", UNLOCK_ID + event_id, {"openDoor": 1, "showInfo": words})


def acknowledgement(event_id: str, identification: bool, number: int) -> Letter:
    """Let the panel forget a record. The manual's prose says 1 for both; its table, and the device, say 2."""
    return _letter("PushAck", event_id, {"PushAckType": 2 if identification else 1, "SnapOrRecordID": number})


def letter(device: str, command: PanelCommand, zone: timezone) -> Letter:
    """A command in the panel's words."""
    if isinstance(command, commands.PutPerson):
        return _letter("EditPerson", command.message_id, _person(command, zone))
    if isinstance(command, commands.PutPeople):
        people = [_person(one, zone) for one in command.people]
        return _batch("EditPersonsNew", command.message_id, len(people), people)
    if isinstance(command, commands.RemovePeople):
        if len(command.people) == 1:
            return _letter("DelPerson", command.message_id, {"customId": command.people[0]})
        people_ids = {"customId": list(command.people)}
        return _batch("DeletePersons", command.message_id, len(command.people), people_ids)
    if isinstance(command, commands.OpenDoor):
        return opening(command.message_id, command.words)
    operator, info = _plain(command, zone)
    return _letter(operator, command.message_id, {"facesluiceId": device} | info)


_Plain: TypeAlias = (
    commands.GreetBack
    | commands.SetTime
    | commands.ResumeOn
    | commands.ReplayRecords
    | commands.ListPeople
    | commands.CountPeople
)


def _plain(command: _Plain, zone: timezone) -> tuple[str, Letter]:
    named: tuple[str, Letter]
    match command:
        case commands.GreetBack():
            named = ("Online-Ack", {"result": "ok", "detail": ""})
        case commands.SetTime():
            named = ("SetSysTime", {"SysTime": _moment(command.now_s, zone, "T")})
        case commands.ResumeOn():
            named = ("UpMQTTconfig", _RESUMES | {"BeginTime": _moment(command.now_s, zone)})
        case commands.ReplayRecords():
            window = {"TimeS": _moment(command.from_s, zone), "TimeE": _moment(command.until_s, zone)}
            named = ("ManualPushRecords", window | {"Name": ""})
        case commands.ListPeople():
            page = {"personType": 2, "BeginNO": command.offset, "RequestCount": command.count}
            named = ("SearchPersonList", page)
        case commands.CountPeople():
            named = ("QueryPerson", {})
    return named


def _person(one: commands.PutPerson, zone: timezone) -> Letter:
    """A person on a panel: an opaque reference, a lease, perhaps a picture; no name, number or address."""
    person: Letter = {
        "customId": one.person,
        "name": one.person[:8],
        "personType": 0,
        "tempValid": 1,
        "validBegin": _moment(one.from_s, zone),
        "validEnd": _moment(one.until_s, zone),
    }
    return person | {"picURI": one.photo_url} if one.photo_url else person


def _letter(operator: str, message_id: str, info: Letter) -> Letter:
    return {"messageId": message_id, "operator": operator, "info": info}


def _batch(operator: str, message_id: str, count: int, info: Any) -> Letter:
    return {
        "messageId": message_id,
        "DataBegin": "BeginFlag",
        "operator": operator,
        "PersonNum": count,
        "info": info,
        "DataEnd": "EndFlag",
    }


def _moment(at_s: float, zone: timezone, between: str = " ") -> str:
    """Local, without zone, as the panels write it."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone).strftime(f"%Y-%m-%d{between}%H:%M:%S")
