"""One small HTTP endpoint: GET /health for people and containers, GET /metrics for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from estate.processes import StartFailedError
from gateway.health import Health
from gateway.loop import LoopSilentError


class MetricsServer:
    """Serves what `ask` says; answers 503 when the loop does not.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        ask: the health now.
    Raises:
        StartFailedError: the port is taken.
    """

    def __init__(self, host: str, port: int, ask: Callable[[], Health]) -> None:
        registry = CollectorRegistry()
        # The collector is asked at each scrape, so nothing is counted twice and the loop pays nothing.
        registry.register(_Collector(ask))

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                try:
                    if self.path == "/health":
                        health = ask()
                        self._answer(HTTPStatus.OK, "application/json", msgspec.json.encode(health))
                    elif self.path == "/metrics":
                        text = "text/plain; version=0.0.4; charset=utf-8"
                        self._answer(HTTPStatus.OK, text, generate_latest(registry))
                    else:
                        self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/health /metrics\n")
                except LoopSilentError as error:
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", str(error).encode())

            def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Health checks are no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise StartFailedError(
                f"端口 {host}:{port} 无法监听（{error.strerror}），请改 metrics.port  |  "
                f"cannot listen on {host}:{port} ({error.strerror}); change metrics.port"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Collector:
    """Turns a health value into Prometheus families."""

    def __init__(self, ask: Callable[[], Health]) -> None:
        self._ask = ask

    def describe(self) -> list[Metric]:
        """Nothing is known before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, made from the health now."""
        health = self._ask()
        counts = health.counts
        for name, value, words in (
            ("messages", counts.messages, "MQTT messages received"),
            ("events", counts.events, "door events read"),
            ("confirmations", counts.confirmed, "events confirmed to devices"),
            ("repeats", counts.repeats, "events that were known already"),
            ("joined_frames", counts.joined, "further events of a passage that had its answer"),
            ("answered_alone", counts.answered_alone, "answers sent before the record was on disk"),
            ("given_up", counts.given_up, "records not taken by the disk; devices send them again"),
            ("hints", counts.hints, "said of a device on a topic that others may write, too"),
            ("replies", counts.replies, "devices' acknowledgements of commands"),
            ("unsent", counts.unsent, "messages no broker connection would take"),
            ("commits", counts.commits, "journal commits"),
            ("records_forwarded", counts.forwarded, "records the backend has committed"),
            ("photographs", counts.photographs, "passages sent to the encoder"),
            ("photographs_refused", counts.photographs_refused, "passages the encoder's queue did not take"),
        ):
            yield _counter(name, words, [((), value)], ())
        answers = [((cause,), count) for cause, count in counts.answers.items()]
        yield _counter("answers", "answers by cause", answers, ("cause",))
        reasons = [((reason,), count) for reason, count in counts.set_aside.items()]
        yield _counter("set_aside", "messages set aside by reason", reasons, ("reason",))
        for name, number, words in (
            ("broker_connected", health.broker.connected, "1: connected to the broker"),
            ("journal_ok", health.journal.ok, "1: the disk takes records"),
            ("journal_fill", health.buffer.fill, "age of the oldest waiting record over the buffer's hours"),
            ("journal_waiting", health.buffer.rows.unforwarded, "records the backend has not committed"),
            ("journal_parked", health.buffer.rows.parked, "records the backend refuses"),
            ("journal_free_bytes", health.buffer.free_bytes, "free space on the journal's disk"),
            ("journal_held", health.held_entries, "entries in memory, not on disk yet"),
            ("journal_commit_seconds", health.last_commit_ms / 1000, "duration of the last commit"),
            ("alarms", len(health.alarms), "alarms raised now"),
            ("clock_behind_seconds", health.clock_behind_s, "system clock behind the journal"),
        ):
            yield _gauge(name, words, [((), float(number))], ())
        links = [((name,), float(state.ok)) for name, state in health.backend.items()]
        yield _gauge("backend_ok", "1: the last conversation went well", links, ("conversation",))
        versions = [((estate.estate,), float(estate.roster_version)) for estate in health.estates]
        yield _gauge("roster_version", "version of the roster copy", versions, ("estate",))
        devices = [((one.estate, one.device), float(one.state == "online")) for one in health.devices]
        yield _gauge("device_online", "1: online", devices, ("estate", "device"))


_Values: TypeAlias = Iterable[tuple[Sequence[str], float]]


def _counter(name: str, words: str, values: _Values, labels: Sequence[str]) -> Metric:
    family = CounterMetricFamily(f"estate_gateway_{name}", words, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _gauge(name: str, words: str, values: _Values, labels: Sequence[str]) -> Metric:
    family = GaugeMetricFamily(f"estate_gateway_{name}", words, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family
