"""A stateful, deterministic stand-in for Stripe: one core, reached over HTTP and through `responses`.

`core.StripeCore` is the state machine; `http` serves it with the pages people click, `mock` registers it
with `responses`, `command` is `estate simulate stripe`. Clock, randomness and ids are arguments, so a run
with the same seed and the same requests gives the same answers. It imports nothing of Stripe's own
library: its answers are checked against that library's annotations by the tests.
"""

API_VERSION = "2026-10-28.endive"
