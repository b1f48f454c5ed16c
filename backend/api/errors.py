"""Every error becomes one answer: a status, a code, two sentences and the request id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from traceback import format_tb
from urllib.parse import urlencode

import structlog
from flask import (
    Flask,
    Response,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template_string,
    request,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from backend.api.biometric import BiometricPayloadError
from backend.api.bodies import BusyError, WrongShapeError
from backend.api.csrf import CSRFError
from backend.api.requests import request_id
from backend.approvals import errors as approvals
from backend.closing import errors as closing
from backend.errors import ExplainedError
from backend.identity import errors as identity
from backend.identity.audit import audit_refusal
from backend.identity.web import LOGIN_PATH
from backend.payments import errors as payments
from backend.payments.port import ProviderRefusedError, ProviderUnavailableError
from backend.registry import errors as registry
from backend.registry.keys import SealBrokenError
from backend.rent import errors as rent
from backend.retention import errors as retention
from backend.services import services

log = structlog.get_logger()

# The one table from errors to HTTP; a class stands for its subclasses, and what is not here is 400.
STATUS: dict[type[ExplainedError], int] = {
    identity.NotLoggedInError: 401,
    identity.LoginRefusedError: 401,
    identity.UnknownCredentialError: 401,
    identity.NotAllowedError: 403,
    identity.ForeignEstateError: 403,
    identity.UnknownPrincipalError: 404,
    identity.UnknownGatewayError: 404,
    identity.UnknownEstateError: 404,
    identity.LoginTakenError: 409,
    identity.TooManyAttemptsError: 429,
    approvals.ProposalUnknownError: 404,
    approvals.NoRightError: 403,
    approvals.SecondPersonNeededError: 403,
    closing.OtherPersonSignsError: 403,
    approvals.NotProposerError: 403,
    approvals.ProposalClosedError: 409,
    approvals.ProposalChangedError: 409,
    approvals.ApprovalMissingError: 409,
    approvals.ApprovalUsedError: 409,
    registry.UnknownThingError: 404,
    registry.NoRightError: 403,
    registry.TooManyPassesError: 409,
    registry.ReasonMissingError: 422,
    rent.HouseholdUnknownError: 404,
    rent.TenancyUnknownError: 404,
    rent.TermUnknownError: 404,
    rent.UnitUnknownError: 404,
    rent.MeterUnknownError: 404,
    rent.RunUnknownError: 404,
    rent.ChargeUnknownError: 404,
    rent.ReceiptUnknownError: 404,
    rent.DemandUnknownError: 404,
    payments.CheckoutUnknownError: 404,
    payments.ForeignHouseholdError: 403,
    registry.CardTakenError: 409,
    registry.FaceNotAllowedError: 409,
    registry.UnitLetError: 409,
    registry.DoorElsewhereError: 409,
    registry.OlderNoticeError: 409,
    rent.TermExistsError: 409,
    rent.MeterExistsError: 409,
    rent.NothingToChargeError: 409,
    rent.LetOffTooMuchError: 409,
    rent.RunChangedError: 409,
    rent.ReadingExistsError: 409,
    rent.TariffOverlapError: 409,
    rent.TariffChangedError: 409,
    payments.CheckoutClosedError: 409,
    payments.OnlineClosedError: 409,
    payments.AutopayRunsError: 409,
    payments.SlipTakenError: 409,
    payments.RefundTooMuchError: 409,
    payments.RefundNotReadyError: 409,
    payments.DisputeClosedError: 409,
    payments.DepositStepError: 409,
    payments.DepositTooMuchError: 409,
    payments.LinkUnknownError: 404,
    payments.LinkExpiredError: 410,
    payments.LinkRevokedError: 410,
    payments.PaymentUnknownError: 404,
    payments.RefundUnknownError: 404,
    payments.DisputeUnknownError: 404,
    payments.DepositNotHeldError: 404,
    ProviderRefusedError: 502,
    ProviderUnavailableError: 503,
    payments.PaymentsNotSetUpError: 503,
    WrongShapeError: 422,
    BiometricPayloadError: 422,
    registry.AlreadyHandedOverError: 409,
    retention.EvidenceErasedError: 410,
    retention.NoBasisError: 403,
    registry.ImportRefusedError: 422,
    SealBrokenError: 500,
    BusyError: 503,
}

# What werkzeug itself raises, in words for people.
WORDS: dict[int, tuple[str, str, str]] = {
    400: ("bad_request", "请求内容不完整，请返回重填。", "The request is incomplete; go back and try again."),
    401: ("not_logged_in", "请先登录。", "Please log in first."),
    403: ("not_allowed", "没有权限。", "Not allowed."),
    404: ("not_found", "没有这个页面，请从首页进入。", "There is no such page; start from the front page."),
    405: ("method_not_allowed", "不支持这种操作。", "This cannot be done here."),
    413: ("too_large", "提交的内容过大。", "What was sent is too large."),
    415: ("wrong_type", "提交的内容格式不对。", "What was sent has the wrong type."),
    422: ("wrong_shape", "提交的内容格式不对。", "What was sent does not have the agreed shape."),
    429: ("too_many", "操作过于频繁，请稍后再试。", "Too often; try again later."),
}
UNEXPECTED = (
    "unexpected",
    "系统出错，未能完成。请稍后再试，或把编号告诉服务窗口。",
    "Something went wrong. Try again later, or tell the service window the number below.",
)
RETRY_AFTER_S = "1"
BUSY = ("busy", "系统繁忙，请稍后再试。", "The system is busy; try again in a moment.")

PLAIN_PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ told.status }}</title></head>
<body><h1>{{ told.zh }}</h1><p lang="en">{{ told.en }}</p>
<p>编号 {{ told.request_id }}</p><p><a href="/">首页</a></p></body></html>
"""


@dataclass(frozen=True, slots=True)
class PageError:
    """What an error page tells."""

    status: int
    code: str
    zh: str
    en: str
    request_id: str


PageRenderer = Callable[[PageError], str]


def install(app: Flask) -> None:
    """Answer every error of this application."""
    app.register_error_handler(ExplainedError, _explained)
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(PoolTimeoutError, _busy)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: ExplainedError) -> int:
    """The HTTP status of an expected error."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 400


def set_page(app: Flask, render: PageRenderer) -> None:
    """Let the web's own page tell people about errors, in place of the plain one."""
    app.extensions["estate.error_page"] = render


def answer(status: int, code: str, zh: str, en: str) -> Response:
    """The answer in the form of its audience: JSON for programs, a page for people."""
    if is_interface():
        body = {"error": {"code": code, "zh": zh, "en": en, "request_id": request_id()}}
        return make_response(jsonify(body), status)
    told = PageError(status, code, zh, en, request_id())
    render: PageRenderer = current_app.extensions.get("estate.error_page", _plain_page)
    try:
        return make_response(render(told), status)
    except Exception:
        # The fine page needs the database and templates; an error must reach the person without them.
        log.exception("error_page_failed")
        return make_response(_plain_page(told), status)


def is_interface() -> bool:
    """Whether a program asks, and not a person in front of a page."""
    return request.path.startswith(("/api/", "/webhooks/", "/health")) or (
        request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    )


def _plain_page(told: PageError) -> str:
    return render_template_string(PLAIN_PAGE, told=told)


def _explained(error: ExplainedError) -> BaseResponse:
    if isinstance(error, identity.RefusedError):
        audit_refusal(services().engine, error, datetime.now(UTC))
    if isinstance(error, identity.NotLoggedInError) and not is_interface():
        return redirect(_login_address())
    response = answer(status_of(error), error.code, error.zh, error.en)
    if isinstance(error, identity.TooManyAttemptsError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    elif response.status_code == 503:
        response.headers["Retry-After"] = RETRY_AFTER_S
    if isinstance(error, identity.UnknownCredentialError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _login_address() -> str:
    # Only a page that can be asked for again is worth coming back to.
    target = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return f"{LOGIN_PATH}?{urlencode({'next': target})}"


def _stale_form(_: CSRFError) -> Response:
    return answer(
        400,
        "stale_form",
        "页面已过期，请返回刷新后再提交一次。",
        "The form is out of date. Go back, reload the page and send it again.",
    )


def _http(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code, zh, en = WORDS.get(status, WORDS[400] if status < 500 else UNEXPECTED)
    response = answer(status, code, zh, en)
    if status == 405 and error.get_response().headers.get("Allow"):
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


def _busy(error: Exception) -> Response:
    log.warning("busy", error=type(error).__name__)
    response = answer(503, *BUSY)
    response.headers["Retry-After"] = RETRY_AFTER_S
    return response


def _database(error: DBAPIError) -> Response:
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, OperationalError):
        # Deadlock, lock timeout, lost connection: the same request may well succeed in a moment.
        log.warning("database_busy", sqlstate=state)
        return _busy(error)
    # Without the message: PostgreSQL quotes the values of the row in it.
    log.error("unexpected", error=type(error).__name__, sqlstate=state, trace=format_tb(error.__traceback__))
    return answer(500, *UNEXPECTED)


def _unexpected(_: Exception) -> Response:
    log.exception("unexpected")
    return answer(500, *UNEXPECTED)
