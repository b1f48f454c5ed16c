"""What gateways report, as it comes over the wire: only these fields, and nothing biometric."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

RECORDS_MAX = 1000
DEVICES_MAX = 1000
ALARMS_MAX = 2000
PEOPLE_MAX = 10_000

EstateId = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
# PostgreSQL's text takes no NUL, and a name with control characters is no name.
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
Passage = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Moment = Annotated[datetime, Meta(tz=True)]

# Field names that carry faces in the protocols we know; any other unknown field is refused as well.
BIOMETRIC_FIELD = re.compile(
    rb'"(template|image|frame|vector|embedding|encoding|photo|picture|pic|snap|feature|face)s?"\s*:',
    re.IGNORECASE,
)


class Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all messages have in common."""


class AccessRecord(Wire, frozen=True):
    """One passage as the gateway decided it."""

    record_id: UUID
    estate: EstateId
    device: Name
    passage: Passage
    events: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    credential: Literal["face", "card", "pin", "qr", "visitor", "panel", "remote"]
    device_at: Moment
    received_at: Moment
    outcome: Literal["open", "deny", "ask", "none"]
    cause: Annotated[str, Meta(pattern="^[a-z0-9_]{1,64}$")]
    person: UUID | None
    resent: bool
    pass_id: UUID | None = None  # the visitor's pass it was opened with
    face_confirmed: bool | None = None  # whether an unsure face before it was that person's


class RecordBatch(Wire, frozen=True):
    """A batch; each record is read on its own, so that a faulty one holds up no neighbour."""

    records: Annotated[list[msgspec.Raw], Meta(max_length=RECORDS_MAX)]


class DeviceStatus(Wire, frozen=True):
    """A door's connection, and how far its clock is off."""

    estate: EstateId
    device: Name
    state: Literal["online", "offline"]
    since: Moment
    clock_offset_ms: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
    contact: Literal["closed", "open", "forced", "held_open"] | None = None
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None


class AlarmStatus(Wire, frozen=True):
    """An alarm as the gateway has it now."""

    alarm_id: UUID
    estate: EstateId
    device: Name
    kind: Annotated[str, Meta(pattern="^[a-z_]{1,40}$")]
    raised_at: Moment
    repeated_at: Moment
    times: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    person: UUID | None = None
    cleared_at: Moment | None = None


class Leaving(Wire, frozen=True):
    """Somebody who may not enter any more, and whom the panel has not confirmed to have forgotten."""

    person: UUID
    until: Moment | None
    since: Moment


class ErasedOnPanel(Wire, frozen=True):
    """The panel has confirmed that somebody is gone from it."""

    seq: int  # the gateway's own
    person: UUID
    since: Moment
    erased_at: Moment


Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class PanelStatus(Wire, frozen=True):
    """A panel that matches by itself; `may_still_open` is the whole list, `erased` what is news."""

    estate: EstateId
    device: Name
    people: Count
    refused: Count
    reconciled_at: Moment | None
    missing: Count
    extra: Count
    nameless: Count
    strangers: Count
    may_still_open: Annotated[list[Leaving], Meta(max_length=PEOPLE_MAX)]
    erased: Annotated[list[ErasedOnPanel], Meta(max_length=PEOPLE_MAX)]


class StatusReport(Wire, frozen=True):
    """The state of a gateway's doors, its alarms, and the panels that match by themselves."""

    devices: Annotated[list[DeviceStatus], Meta(max_length=DEVICES_MAX)]
    alarms: Annotated[list[AlarmStatus], Meta(max_length=ALARMS_MAX)] = []
    panels: Annotated[list[PanelStatus], Meta(max_length=DEVICES_MAX)] = []

    @property
    def estates(self) -> set[str]:
        """Every estate that it speaks of."""
        return (
            {one.estate for one in self.devices}
            | {one.estate for one in self.alarms}
            | {one.estate for one in self.panels}
        )


class _Identified(msgspec.Struct, frozen=True):
    record_id: UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was not taken; `record_id` is its id, or its place in the batch where it has none."""

    record_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """A batch after reading."""

    records: list[AccessRecord]
    refused: list[Refused]

    def reasons(self) -> str:
        """How many were refused for what; never a word of their content."""
        counts = Counter(one.reason for one in self.refused)
        return " ".join(f"{reason}={count}" for reason, count in sorted(counts.items()))


_record = msgspec.json.Decoder(AccessRecord)
_identified = msgspec.json.Decoder(_Identified)
_batch = msgspec.json.Decoder(RecordBatch)
_status = msgspec.json.Decoder(StatusReport)


def read_batch(body: bytes) -> Read:
    """Read a batch of records.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the body as a whole is of another shape.
    """
    records: list[AccessRecord] = []
    refused: list[Refused] = []
    for place, raw in enumerate(_batch.decode(body).records):
        try:
            records.append(_record.decode(raw))
        except (msgspec.DecodeError, msgspec.ValidationError):
            # Its error message is dropped: it quotes names of fields, and a name may carry anything.
            refused.append(Refused(_id_of(raw, place), _reason(bytes(raw))))
    return Read(records, refused)


def read_status(body: bytes) -> StatusReport:
    """Read a status report.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is of another shape.
    """
    return _status.decode(body)


def _reason(raw: bytes) -> str:
    return "biometric" if BIOMETRIC_FIELD.search(raw) else "wrong_shape"


def _id_of(raw: msgspec.Raw, place: int) -> str:
    try:
        return str(_identified.decode(raw).record_id)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return f"#{place}"
