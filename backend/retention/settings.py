"""How long each class of data stays; the table with the reasons stands in docs/retention.md."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Days = Annotated[int, Meta(ge=1, le=3660)]


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Days after which something is let go of, by class."""

    access_record: Days = 30  # then only "the household was seen that day" is left
    access_passage: Days = 400  # opaque keys that keep a passage from being counted twice
    household_seen: Days = 1096
    consent: Days = 1096  # after it ended: until then it is the proof
    erasure_certificate: Days = 1096
    evidence_consent: Days = 1096  # and never before the person's consents are gone
    evidence_hand_over: Days = 1096
    evidence_assessment: Days = 1096
    evidence_damage: Days = 3653  # what the books rest on
    evidence_dispute: Days = 3653
    card: Days = 366  # after it was taken back
    person: Days = 1096  # after the last right and membership ended: name and birthday go
    login_session: Days = 30
    roster_removal: Days = 30
