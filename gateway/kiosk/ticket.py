"""Enrolment tickets: who may enrol whom, for a few minutes, said by the city and believed without asking it.

A clerk begins on the person's page in the city, where logins, roles and consents are. The city signs a
ticket with the estate's key, which this box holds as well; so nobody needs a second login, and no photograph
goes anywhere but here. `tests/contracts/enrolment_tickets.json` holds both sides to the same form.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

VERSION = 1
TICKET_BYTES_MAX = 2000

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Ticket(msgspec.Struct, frozen=True):
    """What a ticket says.

    Attributes:
        estate, person: who is to be enrolled, and where; opaque.
        operator: who asked for it; opaque.
        label: what the clerk calls the person, for the page alone; kept nowhere.
        expires_at: seconds since 1970.
        nonce: makes each ticket another one.
    """

    v: Literal[1]
    estate: Id
    person: Id
    operator: Id
    label: Annotated[str, msgspec.Meta(max_length=80)]
    expires_at: int
    nonce: Id


TicketFault = Literal["unreadable", "not_ours", "expired"]

_SENTENCES: dict[TicketFault, tuple[str, str]] = {
    "unreadable": (
        "登记凭证不完整，请回到住户页面重新打开",
        "The enrolment ticket is not whole. Open this page again from the resident's page.",
    ),
    "not_ours": (
        "登记凭证不是本小区签发的，请回到住户页面，从本小区的住户重新打开",
        "The enrolment ticket was not made for this estate. Begin again with a resident of this estate.",
    ),
    "expired": (
        "登记凭证已过期，请回到住户页面重新打开",
        "The enrolment ticket has expired. Open this page again from the resident's page.",
    ),
}


class TicketError(Exception):
    """A ticket that is not to be believed."""

    def __init__(self, fault: TicketFault) -> None:
        self.fault: TicketFault = fault
        self.zh, self.en = _SENTENCES[fault]
        super().__init__(f"{self.zh}  |  {self.en}")


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
_DECODER = msgspec.json.Decoder(Ticket)


def read_ticket(text: str, keys: Mapping[str, bytes], now_s: float) -> Ticket:
    """What a ticket says, if it is ours and in time.

    Args:
        text: base64url of the JSON, a dot, base64url of its HMAC-SHA256.
        keys: the estates' keys, by estate.
        now_s: seconds since 1970.
    Raises:
        TicketError: it is not whole, not signed with the estate's key, or too old.
    """
    body, signature = _parts(text)
    try:
        ticket = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TicketError("unreadable") from None
    key = keys.get(ticket.estate)
    if key is None or not hmac.compare_digest(signature, sign(key, body)):
        raise TicketError("not_ours")
    if now_s >= ticket.expires_at:
        raise TicketError("expired")
    return ticket


def sign(key: bytes, body: bytes) -> bytes:
    """The signature of a ticket's JSON; the words before it keep it apart from the key's other uses."""
    return hmac.digest(key, b"enrolment ticket:" + body, "sha256")


def _parts(text: str) -> tuple[bytes, bytes]:
    if len(text) > TICKET_BYTES_MAX:
        raise TicketError("unreadable")
    first, dot, second = text.partition(".")
    try:
        if not dot:
            raise ValueError
        return _decode(first), _decode(second)
    except (binascii.Error, ValueError):
        raise TicketError("unreadable") from None


def _decode(part: str) -> bytes:
    return base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
