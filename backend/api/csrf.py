"""Flask-WTF's protection of forms, which ships no types; its one home."""

from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]

__all__ = ["CSRFError", "CSRFProtect"]
