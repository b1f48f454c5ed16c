"""A stand-in for the backend's interface for gateways, with faults on request."""

from __future__ import annotations

import base64
import gzip
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASE = "/api/gateway/v1"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A gateway that was killed while it waited for an answer is no error of the city."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class FakeCity:
    """Serves rosters and keys, keeps the records it is sent; answers after `commit`, as the real one does."""

    def __init__(self, credential: str) -> None:
        self.credential = credential
        self.credentials: set[str] = set()  # of further gateways
        self.card_key = bytes(range(32))
        self.records: list[dict[str, Any]] = []
        self.states: dict[tuple[str, str], dict[str, Any]] = {}
        self.panels: dict[str, dict[str, Any]] = {}
        self.erased: dict[str, set[str]] = {}  # device -> who is gone from it
        self.alarms: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.bodies: list[bytes] = []  # everything it was sent, unpacked
        self.certificates: list[dict[str, Any]] = []
        self.is_down = False
        self.foreign_estates: set[str] = set()
        self.refuse_records: dict[str, str] = {}  # cause of the record -> reason of the refusal
        self._items: dict[str, list[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._seen: set[str] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    # -- what a test does ---------------------------------------------------------------------

    def put(self, estate: str, kind: str, id: str, doc: dict[str, Any] | None) -> int:
        """Change the roster; its new version."""
        with self._changed:
            items = self._items.setdefault(estate, [])
            version = max((item["version"] for item in items), default=0) + 1
            items[:] = [item for item in items if (item["kind"], item["id"]) != (kind, id)]
            items.append({"kind": kind, "id": id, "version": version, "doc": doc})
            self._changed.notify_all()
            return version

    def restore_from_earlier(self, estate: str, keep: int) -> None:
        """Go back to the first `keep` items, as a database does that was restored from a backup."""
        with self._changed:
            items = self._items[estate] = self._items[estate][:keep]
            for version, item in enumerate(items, 1):
                item["version"] = version
            self._changed.notify_all()

    def wait_records(self, count: int, seconds: float = 15.0) -> list[dict[str, Any]]:
        """The records once there are at least `count`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.records) >= count, seconds):
                raise TimeoutError(f"{len(self.records)} of {count} records after {seconds} s")
            return list(self.records)

    def lose_records(self) -> None:
        """As a database that was put back to an earlier day."""
        with self._changed:
            self.records.clear()
            self._seen.clear()

    def wait_certificate(self, seconds: float = 15.0) -> dict[str, Any]:
        """The first certificate of an erasure."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.certificates, seconds):
                raise TimeoutError(f"no certificate after {seconds} s")
            return self.certificates[0]

    def wait_state(self, estate: str, device: str, state: str, seconds: float = 10.0) -> None:
        """Until a device was reported in that state."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: self.states.get((estate, device), {}).get("state") == state, seconds
            )
        if not found:
            raise TimeoutError(f"{device} was never reported {state}: {self.states}")

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen on the port it had before, or on a free one."""
        city = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                city.answer(self)

            def do_POST(self) -> None:
                city.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the door."""
        if self._server is not None:
            self.is_down = True
            with self._changed:
                self._changed.notify_all()
            self._server.shutdown()
            self._server.server_close()

    # -- what it answers ----------------------------------------------------------------------

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        if self.is_down:
            self._send(request, 503, {})
            return
        url = urlsplit(request.path)
        question = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.requests.append(url.path)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer not in {self.credential, *self.credentials}:
            self._send(request, 401, {"error": {"code": "unknown_credential"}})
        elif question.get("estate") in self.foreign_estates:
            self._send(request, 403, {"error": {"code": "foreign_estate"}})
        elif url.path == f"{BASE}/keys":
            key = base64.b64encode(self.card_key).decode()
            self._send(request, 200, {"estate": question["estate"], "hmac_key": key})
        elif url.path == f"{BASE}/roster":
            self._send(request, 200, self._roster(question))
        elif url.path == f"{BASE}/access-records":
            self._send(request, 200, self._store(json.loads(body)["records"]))
        elif url.path == f"{BASE}/erasures":
            self._send(request, 200, self._certify(json.loads(body)["certificates"]))
        elif url.path == f"{BASE}/status":
            with self._changed:
                status = json.loads(body)
                for one in status["devices"]:
                    self.states[(one["estate"], one["device"])] = one
                for one in status["panels"]:
                    self.panels[one["device"]] = one
                    self.erased[one["device"]] = self.erased.get(one["device"], set()) | {
                        each["person"] for each in one["erased"]
                    }
                self.alarms |= {one["alarm_id"]: one for one in status["alarms"]}
                self._changed.notify_all()
            self._send(request, 204, None)
        else:
            self._send(request, 404, {})

    def _roster(self, question: dict[str, str]) -> dict[str, Any]:
        estate, since, limit = question["estate"], int(question["since"]), int(question.get("limit", 1000))
        deadline = time.monotonic() + float(question.get("wait", 0))
        with self._changed:
            while True:
                items = sorted(self._items.get(estate, []), key=lambda item: int(item["version"]))
                newer = [item for item in items if item["version"] > since]
                newest = items[-1]["version"] if items else 0
                rest = deadline - time.monotonic()
                if newer or newest < since or rest <= 0 or self.is_down:
                    break
                self._changed.wait(rest)
            page = newer[:limit]
            version = page[-1]["version"] if page else newest
            return {"estate": estate, "version": version, "more": len(newer) > limit, "items": page}

    def _certify(self, sent: list[dict[str, str]]) -> dict[str, Any]:
        said = [json.loads(base64.b64decode(one["signed"])) for one in sent]
        with self._changed:
            self.certificates += said
            self._changed.notify_all()
        return {"results": [{"id": one["certificate_id"], "refused": ""} for one in said]}

    def _store(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        committed, refused = [], []
        with self._changed:
            for record in records:
                reason = self.refuse_records.get(record["cause"])
                if reason is not None:
                    refused.append({"record_id": record["record_id"], "reason": reason})
                    continue
                committed.append(record["record_id"])
                if record["record_id"] not in self._seen:
                    self._seen.add(record["record_id"])
                    self.records.append(record)
            self._changed.notify_all()
        return {"committed": committed, "refused": refused}

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: dict[str, Any] | None) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
