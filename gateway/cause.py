"""What a cause of a door's answer consists of."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.messages import Outcome


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for an answer.

    Attributes:
        told_as: the code that the device hears instead, where who stands beside must not learn it.
    """

    code: str
    outcome: Outcome
    rule: str
    tenant_zh: str
    tenant_en: str
    guard_zh: str
    guard_en: str
    told_as: str = ""
