"""The parameters of the PaymentIntent operations."""

from __future__ import annotations

from typing import Any, NoReturn

from simulators.stripe.errors import MalformedError
from simulators.stripe.listing import PAGE
from simulators.stripe.params import (
    Spec,
    array,
    boolean,
    hash_of,
    integer,
    metadata,
    one_of,
    string,
    url,
)
from simulators.stripe.payment_methods import DATA
from simulators.stripe.shapes import EXPAND


def no_longer(_: Any, param: str) -> NoReturn:
    """A parameter this API version does not take any more."""
    raise MalformedError(
        f"`{param}` is no longer supported in this API version. Use `allowed_payment_method_types` or "
        "`excluded_payment_method_types`, or leave it to dynamic payment methods.",
        code=f"{param}_no_longer_supported",
        param=param,
    )


# `payment_method_types` was taken away in this API version; it is named so that it can be refused by name.
KINDS = {
    "allowed_payment_method_types": array(string(), 60),
    "excluded_payment_method_types": array(string(), 60),
    "payment_method_types": no_longer,
}
REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
OPTIONS = Spec(
    wechat_pay=hash_of(Spec(client=one_of("web"), setup_future_usage=one_of("none"))),
    alipay=hash_of(Spec(setup_future_usage=one_of("none"))),
    card=hash_of(
        Spec(
            request_three_d_secure=one_of("any", "automatic", "challenge"),
            setup_future_usage=one_of("none", "off_session", "on_session"),
        )
    ),
)
_CHANGEABLE = Spec(
    amount=integer(1),
    currency=string(3),
    customer=string(unset=True),
    description=string(1000, unset=True),
    metadata=metadata,
    payment_method=string(unset=True),
    payment_method_data=hash_of(DATA),
    payment_method_options=hash_of(OPTIONS),
    **KINDS,
    receipt_email=string(unset=True),
    setup_future_usage=one_of("off_session", "on_session"),
    statement_descriptor=string(22, unset=True),
    statement_descriptor_suffix=string(22, unset=True),
    transfer_group=string(unset=True),
    **EXPAND,
)
UPDATE = _CHANGEABLE
CREATE = _CHANGEABLE.plus(
    "amount",
    "currency",
    automatic_payment_methods=hash_of(
        Spec("enabled", enabled=boolean, allow_redirects=one_of("always", "never"))
    ),
    capture_method=one_of("automatic", "automatic_async", "manual"),
    confirm=boolean,
    confirmation_method=one_of("automatic", "manual"),
    error_on_requires_action=boolean,
    off_session=boolean,
    return_url=url,
)
CONFIRM = Spec(
    off_session=boolean,
    payment_method=string(),
    payment_method_data=hash_of(DATA),
    payment_method_options=hash_of(OPTIONS),
    receipt_email=string(unset=True),
    return_url=url,
    setup_future_usage=one_of("off_session", "on_session"),
    error_on_requires_action=boolean,
    **EXPAND,
)
CAPTURE = Spec(amount_to_capture=integer(1), metadata=metadata, **EXPAND)
CANCEL = Spec(cancellation_reason=one_of(*REASONS), **EXPAND)
RETRIEVE = Spec(client_secret=string(), **EXPAND)
LIST = PAGE.plus(customer=string())
