"""The documents that gateways receive; their field names are the wire's."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec

Kind = Literal["estate", "door", "person", "pass", "order"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What all documents have in common."""

    def plain(self) -> dict[str, Any]:
        """As JSON values, the form in which it is stored and compared."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class LivenessWaiver(Document, frozen=True):
    """Faces without a liveness verdict are accepted until that day: who decided it and why."""

    until: date
    author: str
    reason: str


class PanelsDocument(Document, frozen=True):
    """The estate's panels match by themselves; people stay on them so long without being renewed."""

    roster_lease_days: int


class EstateDocument(Document, frozen=True):
    """What a gateway has to know of its estate."""

    name_zh: str
    name_en: str
    faces: bool
    liveness_waiver: LivenessWaiver | None
    fpir: float
    panels: PanelsDocument | None = None
    passback: str = "soft"


class OpenHours(Document, frozen=True, rename={"begin": "from", "till": "to"}):
    """When residents may use a door, on the estate's calendar."""

    days: list[int]
    begin: str
    till: str


class DoorDocument(Document, frozen=True, omit_defaults=True):
    """A door; its id is the device's."""

    name_zh: str
    name_en: str
    group: str
    building: str | None
    credentials: list[str]
    way: str
    protocol: str
    active: bool
    hours: list[OpenHours] | None = None


class RightDocument(Document, frozen=True, rename={"starts_at": "from", "ends_at": "to"}):
    """A right to a door group in [from, to)."""

    group: str
    starts_at: datetime
    ends_at: datetime | None


class CardDocument(Document, frozen=True):
    """A card, by its reference under the estate's key."""

    hmac: str
    blocked: bool


class ErasureDocument(Document, frozen=True):
    """An order to erase what the vault holds of the person; it stays until the certificate is here."""

    order: str
    scope: str
    reason: str
    ordered_at: datetime


class PinDocument(Document, frozen=True):
    """A PIN of a door group, by its reference under the estate's key."""

    group: str
    hmac: str
    duress: bool


class QrDocument(Document, frozen=True):
    """The seed of somebody's QR codes, sealed under the estate's key."""

    id: str
    sealed: str


class PassDocument(Document, frozen=True, rename={"starts_at": "from", "ends_at": "to"}):
    """A visitor's pass, by the reference of its code."""

    group: str
    hmac: str
    starts_at: datetime
    ends_at: datetime
    uses_max: int


class OrderDocument(Document, frozen=True):
    """What a guard has ordered; `door` None means all of the estate."""

    order: str
    action: str
    author: str
    reason: str
    given_at: datetime
    door: str | None
    until: datetime | None


class PersonDocument(Document, frozen=True, omit_defaults=True):
    """What a person may do in one estate; no name leaves the city side."""

    rights: list[RightDocument]
    cards: list[CardDocument]
    face_consent: bool
    # To a photograph kept to load door panels with.
    panel_consent: bool = False
    erase: list[ErasureDocument] = []
    pins: list[PinDocument] = []
    qr: QrDocument | None = None
