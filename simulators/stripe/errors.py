"""The refusals of the API, with the original's types, codes and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DOCS = "https://stripe.com/docs/error-codes/"


class RefusedError(Exception):
    """An answer that is an error. The request leaves nothing behind."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.error |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.error["param"] = param
        self.error |= facts


class MalformedError(RefusedError):
    """The request's parameters are not of the right shape: nothing was started, no answer is stored."""


def missing(param: str) -> MalformedError:
    """A required parameter is absent."""
    return MalformedError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(names: Iterable[str]) -> MalformedError:
    """Parameters this operation does not have."""
    listed = sorted(names)
    plural = "s" if len(listed) > 1 else ""
    return MalformedError(
        f"Received unknown parameter{plural}: {', '.join(listed)}", code="parameter_unknown", param=listed[0]
    )


def empty(param: str) -> MalformedError:
    """An empty string for something that cannot be unset."""
    return MalformedError(
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{param}' cannot be unset. You should remove '{param}' from your request or "
        "supply a non-empty value.",
        code="parameter_invalid_empty",
        param=param,
    )


def no_such(what: str, object_id: str, param: str = "id", status: int = 400) -> RefusedError:
    """An id that names nothing; 404 when it stood in the path."""
    return RefusedError(f"No such {what}: '{object_id}'", code="resource_missing", param=param, status=status)


def unrecognized_url(method: str, path: str) -> RefusedError:
    """No such operation."""
    return RefusedError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        status=404,
    )


def unexpected_state(message: str, intent: Mapping[str, Any]) -> RefusedError:
    """A PaymentIntent that is not where this operation needs it."""
    return RefusedError(message, code="payment_intent_unexpected_state", payment_intent=dict(intent))


def money(amount: int, currency: str) -> str:
    """An amount as the original writes it in its messages."""
    sign = {"cny": "¥", "usd": "$", "hkd": "HK$"}.get(currency, currency.upper() + " ")
    return f"{sign}{amount // 100:,}.{amount % 100:02d}"
