"""Headers that keep a browser from doing more with our pages than we meant."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request


def install(app: Flask, form_origins: Sequence[str], secure: bool) -> None:
    """Put the headers on every answer.

    Args:
        form_origins: where else forms may lead; one that starts a payment is redirected there, and
            browsers hold `form-action` against redirects, too.
        secure: whether the site is served by https.
    """
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src 'self' data:",
            "style-src 'self'",
            "script-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            " ".join(("form-action 'self'", *form_origins)),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )

    @app.after_request
    def protect(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        # What a person may see is kept by no cache; files that are the same for everybody may be.
        if not (request.endpoint or "").endswith("static"):
            headers.setdefault("Cache-Control", "no-store")
        return response
