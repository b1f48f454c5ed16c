"""The webhook: verify, keep, answer. What a notice means is the worker's business."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState

from backend.payments.port import NoticeRefusedError
from backend.payments.providers import EXTENSION, current_providers, make_providers
from backend.payments.service import take_notice
from backend.services import services

# Outside the CSRF protection: the signature says who it is, and no browser's cookie counts here.
blueprint = Blueprint("payments", __name__, url_prefix="/webhooks")

log = structlog.get_logger()


@blueprint.record_once
def set_up(state: BlueprintSetupState) -> None:
    """Build the providers with the application, so that a mistake in their settings stops the start."""
    parts = state.app.extensions["estate"]
    state.app.extensions[EXTENSION] = make_providers(parts.settings, parts.engine)


@blueprint.post("/<provider_name>")
def notice(provider_name: str) -> tuple[Response, int]:
    """200 as soon as the notice is on disk; 400 if nobody can prove that it is that provider's."""
    try:
        taken = take_notice(
            services().engine,
            current_providers().get(provider_name),
            request.get_data(cache=False),
            dict(request.headers),
            datetime.now(UTC),
        )
    except NoticeRefusedError as error:
        log.warning("notice_refused", provider=error.provider, reason=error.reason)
        return jsonify(error={"code": error.code, "zh": error.zh, "en": error.en}), 400
    return jsonify(received=True, new=taken.is_new), 200
