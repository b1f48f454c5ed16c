"""The documents that gateways receive; their field names are the wire's."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec

Kind = Literal["estate", "door", "person"]


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


class DoorDocument(Document, frozen=True):
    """A door; its id is the device's."""

    name_zh: str
    name_en: str
    group: str
    building: str | None
    credentials: list[str]
    way: str
    protocol: str
    active: bool


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


class PersonDocument(Document, frozen=True, omit_defaults=True):
    """What a person may do in one estate; no name leaves the city side."""

    rights: list[RightDocument]
    cards: list[CardDocument]
    face_consent: bool
    # To a photograph kept to load door panels with.
    panel_consent: bool = False
    erase: list[ErasureDocument] = []
