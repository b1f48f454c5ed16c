"""`/health`: whether this process can do its work."""

from __future__ import annotations

import structlog
from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.services import services

blueprint = Blueprint("health", __name__)
log = structlog.get_logger()


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """200 when the database answers, else 503; tells nothing else to strangers."""
    try:
        with services().engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("health_failed", error=type(error).__name__)
        return {"ok": False, "database": False}, 503
    return {"ok": True, "database": True}
