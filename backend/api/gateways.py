"""The interface for gateways: the roster comes down, records and states go up."""

from __future__ import annotations

import base64
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Engine

from backend.access import devices, wire
from backend.access import service as access
from backend.api.biometric import count_refusal, is_biometric
from backend.api.bodies import BusyError, WrongShapeError, answer_json, read_body
from backend.errors import ExplainedError
from backend.identity.audit import audit
from backend.identity.errors import ForeignEstateError, TooManyAttemptsError, UnknownCredentialError
from backend.identity.gateways import Gateway, gateway_of
from backend.identity.limits import Limit, charge
from backend.registry.certificates import read_certificates, take_certificates
from backend.registry.estates import estate_key
from backend.registry.roster import FeedPage, feed
from backend.services import services

blueprint = Blueprint("gateways", __name__, url_prefix="/api/gateway/v1")
log = structlog.get_logger()

WAIT_S_MAX = 25.0
PAGE_ITEMS_MAX = 5000
# A wrong credential costs an audit row; past this, an address gets 429 and none.
WRONG_CREDENTIALS = Limit("gateway_address", 120, timedelta(minutes=1))


class QueryError(ExplainedError):
    """A parameter of the address that is missing or out of its range."""

    code = "wrong_query"

    def __init__(self, name: str, wanted: str) -> None:
        self.name = name
        super().__init__(f"参数 {name} 应为 {wanted}。", f"The parameter {name} has to be {wanted}.")


@blueprint.get("/roster")
def roster() -> ResponseReturnValue:
    """The changes of an estate's roster after a version; with `wait`, as soon as there is one."""
    estate_id = request.args.get("estate", "")
    since, limit = _whole("since", 0, 2**62, 0), _whole("limit", 1, PAGE_ITEMS_MAX, 1000)
    wait_s = _seconds("wait", WAIT_S_MAX)
    page = _look(estate_id, since, limit)
    if not page.items and not page.more and wait_s:
        page = _wait(estate_id, since, limit, time.monotonic() + wait_s)
    items = [
        {
            "kind": item.kind,
            "id": item.item_id,
            "version": item.version,
            "doc": msgspec.Raw(item.document) if item.document is not None else None,
        }
        for item in page.items
    ]
    return answer_json({"estate": estate_id, "version": page.version, "more": page.more, "items": items})


@blueprint.get("/keys")
def keys() -> ResponseReturnValue:
    """The estate's key for card references; each fetch is audited."""
    parts, now = services(), datetime.now(UTC)
    estate_id = request.args.get("estate", "")
    gateway = _caller("keys")
    gateway.check_estate(estate_id, "keys")
    with parts.engine.begin() as connection:
        key = estate_key(connection, parts.master_key, estate_id)
        audit(connection, gateway.actor, "fetch_key", "done", "estate", estate_id, estate_id, "", now)
    return answer_json({"estate": estate_id, "hmac_key": base64.b64encode(key).decode()})


@blueprint.post("/access-records")
def access_records() -> ResponseReturnValue:
    """Take in a batch of records; the answer comes after the commit."""
    parts, now = services(), datetime.now(UTC)
    gateway = _caller("access_records")
    body = read_body()
    try:
        read = wire.read_batch(body)
    except msgspec.MsgspecError:
        raise _misshapen(body) from None
    ours = [one for one in read.records if one.estate in gateway.estates]
    foreign = [one for one in read.records if one.estate not in gateway.estates]
    if foreign and not ours:
        raise ForeignEstateError(gateway.gateway_id, "access_records", foreign[0].estate)
    with parts.engine.begin() as connection:
        access.store_records(connection, ours, gateway.gateway_id, now)
        _tell_refused(connection, gateway, read, foreign, now)
    refused = [{"record_id": one.record_id, "reason": one.reason} for one in read.refused]
    refused += [{"record_id": str(one.record_id), "reason": "foreign_estate"} for one in foreign]
    return answer_json({"committed": [str(one.record_id) for one in ours], "refused": refused})


@blueprint.post("/status")
def status() -> ResponseReturnValue:
    """Take in the state of the gateway's doors, its alarms, and what its panels hold."""
    parts, now = services(), datetime.now(UTC)
    gateway = _caller("status")
    body = read_body()
    try:
        report = wire.read_status(body)
    except msgspec.MsgspecError:
        raise _misshapen(body) from None
    for estate_id in sorted(report.estates):
        gateway.check_estate(estate_id, "status")
    with parts.engine.begin() as connection:
        access.store_states(connection, report.devices, gateway.gateway_id, now)
        devices.store_alarms(connection, report.alarms, gateway.gateway_id, now)
        devices.store_panels(connection, report.panels, gateway.gateway_id, now)
    return "", 204


@blueprint.post("/erasures")
def erasures() -> ResponseReturnValue:
    """Take in certificates of erasure, signed by the gateway's vault."""
    parts, now = services(), datetime.now(UTC)
    gateway = _caller("erasures")
    body = read_body()
    try:
        sent = read_certificates(body)
    except msgspec.MsgspecError:
        raise _misshapen(body) from None
    with parts.engine.begin() as connection:
        taken = take_certificates(connection, gateway, sent, now)
    return answer_json({"results": [{"id": one.certificate_id, "refused": one.reason} for one in taken]})


def _misshapen(body: bytes) -> WrongShapeError:
    """A body that the schemas refuse; something biometric in it is counted, and nothing of it is kept."""
    if kind := is_biometric(body):
        count_refusal(request.endpoint or "unknown", kind)
    return WrongShapeError()


def _wait(estate_id: str, since: int, limit: int, deadline: float) -> FeedPage:
    signal = services().roster_signal
    with signal.place() as found:
        if not found:
            raise BusyError
        while True:
            # Before looking: what is committed after the look moves the count, and waiting returns at once.
            ticket = signal.ticket(estate_id)
            page = _look(estate_id, since, limit)
            if page.items or page.more or time.monotonic() >= deadline:
                return page
            signal.wait(estate_id, ticket, deadline)


def _look(estate_id: str, since: int, limit: int) -> FeedPage:
    """One look at the feed, the credential checked anew: a revoked one gets nothing that came after."""
    _caller("roster").check_estate(estate_id, "roster")
    with services().engine.connect() as connection:
        return feed(connection, estate_id, since, limit)


def _caller(action: str) -> Gateway:
    """The gateway that calls.

    Raises:
        UnknownCredentialError, TooManyAttemptsError.
    """
    engine, now = services().engine, datetime.now(UTC)
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    try:
        with engine.connect() as connection:
            return gateway_of(connection, bearer.strip() if kind.lower() == "bearer" else "", action, now)
    except UnknownCredentialError:
        _limit_guessing(engine, now)
        raise


def _limit_guessing(engine: Engine, now: datetime) -> None:
    with engine.begin() as connection:
        charged = charge(connection, WRONG_CREDENTIALS, request.remote_addr or "unknown", now)
    if charged.retry_after_s:
        log.warning("gateway_guessing_limited", retry_after_s=charged.retry_after_s)
        raise TooManyAttemptsError(charged.retry_after_s)


def _tell_refused(
    connection: Connection, gateway: Gateway, read: wire.Read, foreign: list[wire.AccessRecord], now: datetime
) -> None:
    """Count refused records in the log that lasts: how many and what for, nothing of their content."""
    if read.refused:
        reasons = read.reasons()
        log.warning("records_refused", gateway=gateway.gateway_id, reasons=reasons)
        audit(
            connection, gateway.actor, "access_records", "refused", "gateway", gateway.gateway_id, None,
            reasons, now,
        )  # fmt: skip
    for estate_id, count in sorted(Counter(one.estate for one in foreign).items()):
        log.warning("foreign_records_refused", gateway=gateway.gateway_id, count=count)
        audit(
            connection, gateway.actor, "access_records", "refused", "estate", estate_id, estate_id,
            f"foreign_estate={count}", now,
        )  # fmt: skip


def _whole(name: str, low: int, high: int, otherwise: int) -> int:
    given = request.args.get(name)
    if given is None:
        return otherwise
    if not given.isascii() or not given.isdigit() or not low <= int(given[:20]) <= high:
        raise QueryError(name, f"{low}..{high}")
    return int(given)


def _seconds(name: str, high: float) -> float:
    given = request.args.get(name, "0")
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= high:
        raise QueryError(name, f"0..{high:g}")
    return seconds
