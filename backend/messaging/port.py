"""What a messenger does for us, in our words; an adapter for one is one file.

A messenger takes the same message any number of times and sends it once: the message's own id is its
idempotency key. Whether it arrived is asked for afterwards, so no port has to be open to the outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from backend.errors import ExplainedError


class Channel(StrEnum):
    """How a message reaches somebody."""

    SMS = "sms"
    WECHAT = "wechat"


class Fate(StrEnum):
    """What the messenger knows of a message that it took."""

    UNDERWAY = "underway"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as the messenger gets it; `address` is a telephone number or a WeChat open id."""

    message_id: UUID
    channel: Channel
    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The proof: what became of it, when, and the messenger's reason where it failed."""

    fate: Fate
    at: datetime | None
    reason: str | None


class Messenger(Protocol):
    """A way to reach people."""

    name: str

    def send(self, message: Outgoing) -> str:
        """Hand a message over; returns the messenger's own number of it.

        Raises:
            MessageRefusedError: it will never be sent (a wrong number, forbidden words).
            MessengerUnavailableError: try again later; it may have been taken.
        """

    def delivery(self, messenger_ref: str) -> Delivery:
        """What became of it.

        Raises:
            MessageRefusedError: the messenger does not know it.
            MessengerUnavailableError
        """


class MessageRefusedError(ExplainedError):
    """The messenger will not send this message, now or later."""

    code = "message_refused"

    def __init__(self, reason: str) -> None:
        self.reason = reason[:200]
        super().__init__(
            f"短信通道拒收：{self.reason}。请核对号码和内容。",
            f"The messenger refuses it: {self.reason}. Check the number and the text.",
        )


class MessengerUnavailableError(ExplainedError):
    """The messenger cannot be reached, or is busy."""

    code = "messenger_unavailable"

    def __init__(self, reason: str) -> None:
        self.reason = reason[:200]
        super().__init__(
            "短信通道暂时不通，系统会自动重发。",
            "The messenger cannot be reached; it is tried again by itself.",
        )
