"""The use cases of paying, gathered for those who call them."""

from backend.payments.checkouts import CheckoutStarted, CheckoutView, checkout_state, start_checkout
from backend.payments.notices import (
    NoticeTaken,
    ParkedNotice,
    parked_notices,
    replay_notice,
    settle_pending,
    take_notice,
)
from backend.payments.port import CheckoutState, Method
from backend.payments.sweeper import sweep

__all__ = [
    "CheckoutStarted",
    "CheckoutState",
    "CheckoutView",
    "Method",
    "NoticeTaken",
    "ParkedNotice",
    "checkout_state",
    "parked_notices",
    "replay_notice",
    "settle_pending",
    "start_checkout",
    "sweep",
    "take_notice",
]
