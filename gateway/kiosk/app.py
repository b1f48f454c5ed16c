"""The kiosk's page and interface. Photographs stay in memory for as long as they are looked at."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

import structlog
from flask import Flask, Request, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from gateway.enrolment import PHOTOS_MAX, PHOTOS_RECOMMENDED, Enrolled, Refused
from gateway.kiosk.ticket import Ticket, TicketError, read_ticket
from gateway.matching.encodings import EncoderBusyError
from gateway.matching.photo import BYTES_MAX

# Five photographs and what surrounds them.
REQUEST_BYTES_MAX = PHOTOS_MAX * BYTES_MAX + (1 << 20)
# Of the fields that are no files; the reader's own buffer of 64 KiB counts against it as well.
FORM_BYTES_MAX = 256 * 1024
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self' blob:",
        "style-src 'self'",
        "script-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

log = structlog.get_logger()


class Desk(Protocol):
    """Where people are enrolled."""

    def enrol(self, estate_id: str, person_id: str, photos: list[bytes], operator: str) -> Enrolled | Refused:
        """Enrol a person from one to five photographs."""


class InMemoryRequest(Request):
    """A request whose files never touch the disk."""

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return io.BytesIO()


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of an outcome, in both languages."""

    zh: str
    en: str


def create_app(
    desk: Desk, keys: Callable[[], Mapping[str, bytes]], clock: Callable[[], float] = time.time
) -> Flask:
    """The kiosk's application.

    Args:
        desk: where people are enrolled.
        keys: asks for the estates' keys, which the city may send anew.
        clock: seconds since 1970.
    """
    app = Flask("gateway.kiosk", template_folder="templates", static_folder="static")
    app.request_class = InMemoryRequest
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.config.update(MAX_CONTENT_LENGTH=REQUEST_BYTES_MAX, MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX)

    def ticket_of(text: str) -> Ticket:
        return read_ticket(text, keys(), clock())

    @app.get("/")
    def start() -> str:
        return _page(None, "")

    @app.post("/enrol")
    def begin() -> ResponseReturnValue:
        """Sent here by the city's page, with a ticket and nothing else."""
        text = request.form.get("ticket", "")
        return _page(ticket_of(text), text)

    @app.post("/enrol/photographs")
    def photographs() -> ResponseReturnValue:
        text = request.form.get("ticket", "")
        ticket = ticket_of(text)
        outcome = desk.enrol(ticket.estate, ticket.person, _photos(), ticket.operator)
        if isinstance(outcome, Refused):
            reasons = [Line(*reason.told) for reason in outcome.reasons]
            return _page(ticket, text, reasons), 422
        return render_template(
            "done.html", ticket=ticket, photos=outcome.photos, more=outcome.more_recommended
        )

    @app.post("/api/enrolments")
    def interface() -> ResponseReturnValue:
        """The same for programs: `Authorization: Bearer TICKET`, files as `photos`; answers JSON."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        ticket = ticket_of(text if kind == "Bearer" else "")
        outcome = desk.enrol(ticket.estate, ticket.person, _photos(), ticket.operator)
        if isinstance(outcome, Refused):
            reasons = [
                {"code": reason.code, "photo": reason.photo, "zh": reason.zh, "en": reason.en}
                for reason in outcome.reasons
            ]
            return jsonify(enrolled=False, reasons=reasons), 422
        return jsonify(enrolled=True, photos=outcome.photos, more_recommended=outcome.more_recommended)

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return jsonify(state="ok")

    _handle_errors(app)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Permissions-Policy"] = "camera=(self)"
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def _photos() -> list[bytes]:
    """The files that were chosen; an empty field of a form is none."""
    files = (file.read() for file in request.files.getlist("photos"))
    return [content for content in files if content]


def _page(ticket: Ticket | None, text: str, reasons: list[Line] | None = None) -> str:
    return render_template(
        "enrol.html",
        ticket=ticket,
        ticket_text=text,
        reasons=reasons or [],
        photos_max=PHOTOS_MAX,
        photos_recommended=PHOTOS_RECOMMENDED,
    )


def _handle_errors(app: Flask) -> None:
    def answer(code: str, zh: str, en: str, status: int) -> ResponseReturnValue:
        if request.path.startswith("/api/"):
            return jsonify(
                enrolled=False, reasons=[{"code": code, "photo": None, "zh": zh, "en": en}]
            ), status
        return render_template("sorry.html", zh=zh, en=en), status

    @app.errorhandler(TicketError)
    def wrong_ticket(error: TicketError) -> ResponseReturnValue:
        log.warning("enrolment_ticket_refused", fault=error.fault)
        return answer(error.fault, error.zh, error.en, 403)

    @app.errorhandler(EncoderBusyError)
    def busy(error: EncoderBusyError) -> ResponseReturnValue:
        zh, _, en = str(error).partition("  |  ")
        return answer("busy", zh, en, 503)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_: RequestEntityTooLarge) -> ResponseReturnValue:
        return answer(
            "too_many_bytes",
            f"照片合计太大，请最多选 {PHOTOS_MAX} 张，每张不超过 12 MB",
            f"The photographs are too large together. Choose at most {PHOTOS_MAX}, of 12 MB each.",
            413,
        )

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> ResponseReturnValue:
        return answer(
            "no_such_page",
            "没有这个页面，请回到住户页面重新打开",
            "There is no such page. Begin again from the resident's page.",
            error.code or 500,
        )

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> ResponseReturnValue:
        log.error("kiosk_failed", exc_info=error)
        return answer(
            "failed",
            "登记没有完成，未保存任何照片；请再试一次，仍不行请联系管理员",
            "The enrolment did not finish and no photograph was kept. Try again, or tell the administrator.",
            500,
        )
