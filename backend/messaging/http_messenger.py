"""A messenger behind HTTP: `POST /v1/messages`, then `GET /v1/messages/<ref>` for the proof of delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
from msgspec import Meta

from backend.messaging.port import (
    Delivery,
    Fate,
    MessageRefusedError,
    Messenger,
    MessengerUnavailableError,
    Outgoing,
)
from backend.messaging.settings import MessageSettings
from estate.config import SettingsError, is_loopback, read_secret

Shape = TypeVar("Shape")
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024


class _Taken(msgspec.Struct, frozen=True):
    ref: Annotated[str, Meta(min_length=1, max_length=120)]


class _Told(msgspec.Struct, frozen=True):
    state: Literal["underway", "delivered", "failed"]
    at: float | None = None
    reason: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    reason: str = ""


# Made before any thread uses them: msgspec 0.22 crashes where two are the first, both at once.
_TAKEN = msgspec.json.Decoder(_Taken)
_TOLD = msgspec.json.Decoder(_Told)
_REFUSAL = msgspec.json.Decoder(_Refusal)


class HttpMessenger:
    """The adapter; `token` is sent with each request."""

    name = "http"

    def __init__(self, api_base: str, token: str) -> None:
        self._base = api_base.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the machine must not see who is written to
        self._session.headers["Authorization"] = f"Bearer {token}"

    def send(self, message: Outgoing) -> str:
        """Hand it over; the message's id keeps it from being sent twice."""
        body = {
            "idempotency_key": str(message.message_id),
            "channel": message.channel.value,
            "to": message.address,
            "text": message.text,
        }
        answer = self._ask("POST", "/v1/messages", body)
        return _read(_TAKEN, answer).ref

    def delivery(self, messenger_ref: str) -> Delivery:
        """What became of it."""
        told = _read(_TOLD, self._ask("GET", f"/v1/messages/{quote(messenger_ref, safe='')}", None))
        at = datetime.fromtimestamp(told.at, UTC) if told.at is not None else None
        return Delivery(Fate(told.state), at, told.reason)

    def _ask(self, method: str, path: str, body: object) -> requests.Response:
        try:
            answer = self._session.request(
                method, self._base + path, json=body, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            raise MessengerUnavailableError(type(error).__name__) from error
        if answer.status_code >= 500 or answer.status_code in {401, 408, 425, 429}:
            raise MessengerUnavailableError(f"status {answer.status_code}")
        if answer.status_code >= 300:
            raise MessageRefusedError(_reason(answer))
        return answer


def make_messenger(settings: MessageSettings) -> Messenger | None:
    """The configured messenger; None where there is none.

    Raises:
        SettingsError: half of what it needs, or a token that would travel in plain text.
    """
    if settings.api_base is None and settings.token_file is None:
        return None
    if settings.api_base is None or settings.token_file is None:
        raise SettingsError(
            "config/backend.toml", "messages.token_file", "须与 api_base 成对给出 (both or neither)"
        )
    base = urlsplit(settings.api_base)
    if base.scheme != "https" and not is_loopback(base.hostname or ""):
        raise SettingsError(
            "config/backend.toml",
            "messages.api_base",
            "不在本机的地址须用 https (https is needed outside this machine)",
        )
    return HttpMessenger(settings.api_base, read_secret(Path(settings.token_file), "messages.token_file"))


def _read(decoder: msgspec.json.Decoder[Shape], answer: requests.Response) -> Shape:
    try:
        return decoder.decode(answer.content[:ANSWER_BYTES_MAX])
    except msgspec.DecodeError as error:
        raise MessengerUnavailableError("an answer of another shape") from error


def _reason(answer: requests.Response) -> str:
    try:
        return _REFUSAL.decode(answer.content[:ANSWER_BYTES_MAX]).reason or f"status {answer.status_code}"
    except msgspec.DecodeError:
        return f"status {answer.status_code}"
