"""Walking up to the simulated doors through their control port."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import requests

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened at the door."""

    event_id: str
    outcome: str
    cause: str
    ask: tuple[str, ...]
    opened: bool
    recorded: bool


class Doorstep:
    """The doors of a running `estate simulate doors --control`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answer_seconds: dict[str, list[float]] = {"card": [], "face": []}
        self._session = requests.Session()
        self._session.trust_env = False

    def card(self, device: str, number: str) -> Seen:
        """Somebody shows a card."""
        return self._present(device, "card", {"number": number})

    def face(self, device: str, photos: Sequence[bytes], liveness: str | None = "live") -> Seen:
        """Somebody looks into the camera."""
        encoded = [base64.b64encode(photo).decode() for photo in photos]
        return self._present(device, "face", {"photos": encoded, "liveness": liveness})

    def _present(self, device: str, what: str, content: dict[str, object]) -> Seen:
        reply = self._session.post(f"{self._url}/doors/{device}/{what}", json=content, timeout=TIMEOUT_S)
        reply.raise_for_status()
        body = reply.json()
        answer = body["answer"] or {"outcome": "no answer", "cause": "", "ask": (), "opened": False}
        if "seconds" in answer:
            self.answer_seconds[what].append(answer["seconds"])
        return Seen(
            event_id=body["event_id"],
            outcome=answer["outcome"],
            cause=answer["cause"],
            ask=tuple(answer["ask"]),
            opened=answer["opened"],
            recorded=body["is_recorded"],
        )
