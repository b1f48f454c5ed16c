"""The front page: what the site is for, or the pages of whoever is logged in."""

from __future__ import annotations

from flask import Blueprint, render_template

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def index() -> str:
    """A way in for strangers, a choice of pages for principals."""
    return render_template("home.html")
