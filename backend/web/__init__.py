"""The pages: tenants, finance staff, operators. `register` puts them into an application."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add every page, the shared templates and the static files."""
    # Imported here, so that pure helpers of this package can be used without the whole application.
    from backend.web import (  # noqa: PLC0415
        approvals,
        arrears,
        close_pages,
        counter,
        devices,
        door_codes,
        door_orders,
        enrolment,
        evidence,
        finance,
        frame,
        handing_on,
        home,
        measures,
        money,
        my_data,
        operator,
        oversight,
        papers,
        payers,
        people,
        reconciliation,
        rent_runs,
        report_pages,
        session,
        take_over,
        tariffs,
        tenant,
        terms,
        write_offs,
    )

    frame.install(app)
    for part in (
        frame,
        home,
        session,
        tenant,
        finance,
        handing_on,
        rent_runs,
        take_over,
        write_offs,
        measures,
        tariffs,
        terms,
        approvals,
        reconciliation,
        report_pages,
        close_pages,
        oversight,
        arrears,
        papers,
        payers,
        counter,
        money,
        operator,
        enrolment,
        devices,
        people,
        my_data,
        evidence,
        door_codes,
        door_orders,
    ):
        app.register_blueprint(part.blueprint)
