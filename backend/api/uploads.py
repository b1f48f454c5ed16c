"""How large a request may be where staff upload files; everywhere else the bound of a page's form holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, request

from backend.identity.principal import Role
from backend.identity.web import current_principal
from backend.services import services

# What a form adds around its file.
AROUND_BYTES: Final = 64 * 1024
# Endpoint: who may send that much, and how many MiB of a file are read.
UPLOADS: Final[dict[str, tuple[tuple[Role, ...], Callable[[], int]]]] = {
    "reconciliation.upload": (("finance",), lambda: services().settings.reconciliation.file_mib_max),
}


def install(app: Flask) -> None:
    """Widen the bound before anything reads the form: for those who may upload, and for nobody else."""
    app.before_request(_widen)


def _widen() -> None:
    wanted = UPLOADS.get(request.endpoint or "")
    if wanted is None or request.method != "POST":
        return
    roles, mib = wanted
    principal = current_principal()
    if principal is not None and any(principal.holds(role) for role in roles):
        request.max_content_length = mib() * 1024 * 1024 + AROUND_BYTES
