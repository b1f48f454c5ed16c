"""The gateway's half of the HTTP interface to the backend: who we are, what we ask, what we send."""

from __future__ import annotations

import contextlib
import gzip
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import requests
from msgspec import Struct

from gateway.alarms import Alarm
from gateway.devices import DeviceReport
from gateway.erasure import ErasureCertificate
from gateway.panels.report import PanelReport
from gateway.roster import Item, Kind

BASE = "/api/gateway/v1"
CONNECT_S, READ_S = 5.0, 15.0
TIME_TOLD_WITHIN_S = 2.0

T = TypeVar("T")


class RosterPage(Struct, frozen=True):
    """The answer to a question for changes."""

    version: int  # the cursor to ask from next
    more: bool
    items: list[Item]


class Refusal(Struct, frozen=True):
    """A record that the backend will not have."""

    record_id: str
    reason: str


class Receipt(Struct, frozen=True):
    """What became of the records of one request, after the backend's commit."""

    committed: list[str]
    refused: list[Refusal]


class Status(Struct, frozen=True):
    """What is told of devices."""

    devices: list[DeviceReport] = []
    alarms: list[Alarm] = []
    panels: list[PanelReport] = []


class CertificateResult(Struct, frozen=True):
    """What became of a certificate; an empty reason: it is kept."""

    id: str | None
    refused: str


class _Results(Struct, frozen=True):
    results: list[CertificateResult]


class _Key(Struct, frozen=True):
    hmac_key: bytes


class _WireItem(Struct, frozen=True):
    kind: Kind
    id: str
    version: int
    doc: msgspec.Raw


class _WirePage(Struct, frozen=True):
    version: int
    more: bool
    items: list[_WireItem]


class _Error(Struct, frozen=True):
    code: str


class _ErrorBody(Struct, frozen=True):
    error: _Error


# Made here and not at their first use: msgspec crashes when two threads use a type for the first time.
_KEY = msgspec.json.Decoder(_Key)
_PAGE = msgspec.json.Decoder(_WirePage)
_RESULTS = msgspec.json.Decoder(_Results)
_RECEIPT = msgspec.json.Decoder(Receipt)
_ERROR = msgspec.json.Decoder(_ErrorBody)


class BackendAwayError(Exception):
    """The backend cannot be reached, or is in trouble itself: try again later."""


class BackendRefusedError(Exception):
    """The backend answered, and says no."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"后端拒绝 {status}：{reason}  |  the backend refused ({status}): {reason}")


class BackendClient:
    """One connection to the backend, for one thread.

    Args:
        url: http(s)://host[:port].
        credential: `<gateway id>.<secret>`.
        authority: of its certificate; None: the system's.
        hear_time: told between how many seconds and how many the backend's clock is ahead of ours.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        authority: Path | None,
        hear_time: Callable[[float, float], None] | None = None,
    ) -> None:
        self._url = url.rstrip("/") + BASE
        self._hear_time = hear_time
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {credential}"
        self._session.verify = str(authority) if authority is not None else True
        # Neither proxies nor a .netrc: a gateway talks to its own backend and to nobody else.
        self._session.trust_env = False

    def roster(self, estate: str, since: int, wait_s: int) -> RosterPage:
        """Changes after `since`; with `wait_s`, waits so long for one to come."""
        question: dict[str, str | int] = {"estate": estate, "since": since, "wait": wait_s, "limit": 5000}
        page = self._get("/roster", question, _PAGE, READ_S + wait_s)
        items = [
            Item(one.kind, one.id, one.version, None if bytes(one.doc) == b"null" else bytes(one.doc))
            for one in page.items
        ]
        return RosterPage(page.version, page.more, items)

    def card_key(self, estate: str) -> bytes:
        """The estate's key for card references, 32 bytes."""
        return self._get("/keys", {"estate": estate}, _KEY, READ_S).hmac_key

    def send_records(self, docs: Sequence[str]) -> Receipt:
        """Send access records (JSON objects) and return what the backend has committed."""
        body = gzip.compress(f'{{"records":[{",".join(docs)}]}}'.encode(), 1)
        response = self._ask(
            "POST",
            "/access-records",
            READ_S,
            data=body,
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        )
        return _decoded(response, _RECEIPT)

    def send_certificates(self, certificates: Sequence[ErasureCertificate]) -> list[CertificateResult]:
        """Send certificates of erasure and return what became of each, in the same order."""
        body = msgspec.json.encode({"certificates": certificates})
        response = self._ask(
            "POST", "/erasures", READ_S, data=body, headers={"Content-Type": "application/json"}
        )
        return _decoded(response, _RESULTS).results

    def send_status(self, status: Status) -> None:
        """Tell which devices are there, their alarms, and what panels hold."""
        body = msgspec.json.encode(status)
        self._ask("POST", "/status", READ_S, data=body, headers={"Content-Type": "application/json"})

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _get(
        self, path: str, question: dict[str, str | int], decoder: msgspec.json.Decoder[T], read_s: float
    ) -> T:
        return _decoded(self._ask("GET", path, read_s, params=question), decoder)

    def _ask(self, method: str, path: str, read_s: float, **rest: Any) -> requests.Response:
        asked_s = time.time()
        try:
            response = self._session.request(
                method, self._url + path, timeout=(CONNECT_S, read_s), allow_redirects=False, **rest
            )
        except requests.RequestException as error:
            raise BackendAwayError(type(error).__name__) from error
        if response.status_code in (200, 204):
            self._tell_time(response.headers.get("Date", ""), asked_s, time.time())
            return response
        if response.status_code == 429 or response.status_code >= 500 or response.status_code < 400:
            raise BackendAwayError(f"HTTP {response.status_code}")
        raise BackendRefusedError(response.status_code, _reason(response))

    def _tell_time(self, date: str, asked_s: float, answered_s: float) -> None:
        """Pass on what the answer says of the time; a long poll's says too little, and an odd one nothing."""
        if self._hear_time is None or not 0 <= answered_s - asked_s < TIME_TOLD_WITHIN_S:
            return
        with contextlib.suppress(ValueError):
            said_s = parsedate_to_datetime(date).timestamp()
            self._hear_time(said_s - answered_s, said_s + 1.0 - asked_s)  # told in whole seconds


def _reason(response: requests.Response) -> str:
    try:
        return _ERROR.decode(response.content).error.code
    except msgspec.MsgspecError:
        return response.reason or "?"


def _decoded(response: requests.Response, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(response.content)
    except msgspec.MsgspecError as error:
        raise BackendAwayError(f"answer not understood: {error}") from error
