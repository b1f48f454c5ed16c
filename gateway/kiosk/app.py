"""The kiosk's page and interface. Photographs stay in memory for as long as they are looked at."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import structlog
from flask import Flask, Request, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from gateway.decision import Door
from gateway.drivers import Address
from gateway.enrolment import PHOTOS_MAX, PHOTOS_RECOMMENDED, Enrolled, Refused
from gateway.kiosk.ticket import Ticket, TicketError, read_ticket
from gateway.matching.encodings import EncoderBusyError
from gateway.matching.photo import BYTES_MAX, open_photo, panel_photograph
from gateway.matching.quality import Reason

# Five photographs and what surrounds them.
REQUEST_BYTES_MAX = PHOTOS_MAX * BYTES_MAX + (1 << 20)
# Of the fields that are no files; the reader's own buffer of 64 KiB counts against it as well.
FORM_BYTES_MAX = 256 * 1024
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self' blob: data:",
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

    def cameras(self, estate_id: str) -> Sequence[Door]:
        """The doors of an estate that take faces."""


class Camera(Protocol):
    """Where a door's camera is asked for pictures."""

    def ask(self, address: Address, person_id: str, now_s: float) -> str:
        """Ask for pictures of somebody; the request's id."""

    def pictures(self, request_id: str, estate_id: str, person_id: str) -> list[bytes] | None:
        """What a request has got so far; None when it is over, or is another person's."""

    def drop(self, request_id: str) -> None:
        """End a request and destroy what it got."""


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


NO_SUCH_CAMERA = Line("没有这台门口机，请重新选", "There is no such door. Choose again.")


def create_app(
    desk: Desk,
    camera: Camera,
    keys: Callable[[], Mapping[str, bytes]],
    clock: Callable[[], float] = time.time,
) -> Flask:
    """The kiosk's application.

    Args:
        desk: where people are enrolled.
        camera: the doors' own cameras.
        keys: asks for the estates' keys, which the city may send anew.
        clock: seconds since 1970.
    """
    app = Flask("gateway.kiosk", template_folder="templates", static_folder="static")
    app.request_class = InMemoryRequest
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.config.update(MAX_CONTENT_LENGTH=REQUEST_BYTES_MAX, MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX)

    def ticket_of(text: str) -> Ticket:
        return read_ticket(text, keys(), clock())

    def page(ticket: Ticket, text: str, reasons: Sequence[Line] = ()) -> str:
        return render_template(
            "enrol.html",
            ticket=ticket,
            ticket_text=text,
            reasons=reasons,
            cameras=desk.cameras(ticket.estate),
            photos_max=PHOTOS_MAX,
            photos_recommended=PHOTOS_RECOMMENDED,
        )

    def enrol(ticket: Ticket, text: str, photos: list[bytes]) -> ResponseReturnValue:
        outcome = desk.enrol(ticket.estate, ticket.person, photos, ticket.operator)
        if isinstance(outcome, Refused):
            return page(ticket, text, [Line(*reason.told) for reason in outcome.reasons]), 422
        return render_template(
            "done.html", ticket=ticket, photos=outcome.photos, more=outcome.more_recommended
        )

    def panel(ticket: Ticket, text: str, request_id: str) -> ResponseReturnValue:
        pictures = camera.pictures(request_id, ticket.estate, ticket.person)
        shown = [_shown(picture) for picture in pictures] if pictures is not None else None
        content = render_template(
            "panel.html",
            ticket=ticket,
            ticket_text=text,
            request_id=request_id,
            images=shown,
            photos_recommended=PHOTOS_RECOMMENDED,
        )
        return content, 200 if pictures is not None else 410

    @app.get("/")
    def start() -> str:
        return render_template("enrol.html", ticket=None)

    @app.post("/enrol")
    def begin() -> ResponseReturnValue:
        """Sent here by the city's page, with a ticket and nothing else."""
        text = request.form.get("ticket", "")
        return page(ticket_of(text), text)

    @app.post("/enrol/photographs")
    def photographs() -> ResponseReturnValue:
        text = request.form.get("ticket", "")
        ticket = ticket_of(text)
        return enrol(ticket, text, _photos())

    @app.post("/enrol/panel")
    def panel_ask() -> ResponseReturnValue:
        text = request.form.get("ticket", "")
        ticket, device = ticket_of(text), request.form.get("device", "")
        if device not in {door.device for door in desk.cameras(ticket.estate)}:
            return page(ticket, text, [NO_SUCH_CAMERA]), 422
        return panel(ticket, text, camera.ask(Address(ticket.estate, device), ticket.person, clock()))

    @app.post("/enrol/panel/look")
    def panel_look() -> ResponseReturnValue:
        text = request.form.get("ticket", "")
        return panel(ticket_of(text), text, request.form.get("request", ""))

    @app.post("/enrol/panel/enrol")
    def panel_enrol() -> ResponseReturnValue:
        text, request_id = request.form.get("ticket", ""), request.form.get("request", "")
        ticket = ticket_of(text)
        pictures = camera.pictures(request_id, ticket.estate, ticket.person)
        if pictures is None:
            return panel(ticket, text, request_id)
        camera.drop(request_id)
        return enrol(ticket, text, pictures)

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


def _shown(picture: bytes) -> str:
    """A picture for the page itself; one that is none shows as nothing."""
    found = open_photo(picture)
    small = panel_photograph(picture) if not isinstance(found, Reason) else b""
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()


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
