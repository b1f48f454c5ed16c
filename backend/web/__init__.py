"""The pages: tenants, finance staff, operators. `register` puts them into an application."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add every page, the shared templates and the static files."""
    # Imported here, so that pure helpers of this package can be used without the whole application.
    from backend.web import (  # noqa: PLC0415
        approvals,
        arrears,
        devices,
        enrolment,
        evidence,
        finance,
        frame,
        home,
        my_data,
        operator,
        papers,
        people,
        rent_runs,
        session,
        tenant,
    )

    frame.install(app)
    for part in (
        frame,
        home,
        session,
        tenant,
        finance,
        rent_runs,
        approvals,
        arrears,
        papers,
        operator,
        enrolment,
        devices,
        people,
        my_data,
        evidence,
    ):
        app.register_blueprint(part.blueprint)
