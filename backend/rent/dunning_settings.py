"""The section `[dunning]` of the backend's configuration: the ladder of reminders.

A sample: no dunning period of Jiangmen is public. The order is the law's: a written demand with a deadline
comes before anything but a reminder, and the file is refused otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rung: a message (`reminder`), a letter with a deadline (`demand`), a visit, a person's review."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    name_zh: Annotated[str, Meta(min_length=1, max_length=40)]
    kind: Literal["reminder", "demand", "visit", "review"]
    # Days since the due day of the oldest month that is owed.
    after_days: Annotated[int, Meta(ge=1, le=3660)]
    # Of a demand: how long there is to pay.
    deadline_days: Annotated[int, Meta(ge=7, le=365)] | None = None


DEFAULT_RUNGS = (
    Rung(name="reminder", name_zh="温馨提醒", kind="reminder", after_days=3),
    Rung(name="second_reminder", name_zh="再次提醒", kind="reminder", after_days=15),
    Rung(name="demand", name_zh="书面催缴", kind="demand", after_days=30, deadline_days=30),
    Rung(name="visit", name_zh="上门了解", kind="visit", after_days=61),
    Rung(name="review", name_zh="人工研究", kind="review", after_days=75),
)


class DunningRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When whom is reminded; `enabled` false reminds nobody."""

    enabled: bool = True
    # The limits of 广东省城镇住房保障办法.
    months_in_a_row: Annotated[int, Meta(ge=1, le=60)] = 2
    months_cumulative: Annotated[int, Meta(ge=1, le=60)] = 6
    # At least so many days lie between two rungs.
    gap_days: Annotated[int, Meta(ge=1, le=365)] = 7
    # Who is named in messages and letters.
    issuer_zh: Annotated[str, Meta(min_length=1, max_length=60)] = "公租房管理中心（示例）"
    contact_zh: Annotated[str, Meta(min_length=1, max_length=80)] = "小区服务窗口（示例）"
    rungs: Annotated[tuple[Rung, ...], Meta(min_length=1, max_length=20)] = DEFAULT_RUNGS

    def __post_init__(self) -> None:
        """Refuse a ladder that is out of order; msgspec names the key."""
        names = [rung.name for rung in self.rungs]
        if len(set(names)) < len(names):
            raise ValueError("rungs: 名称重复 (a name twice)")
        days = [rung.after_days for rung in self.rungs]
        if days != sorted(days):
            raise ValueError("rungs: after_days 须递增 (has to grow)")
        demanded = False
        for rung in self.rungs:
            if (rung.kind == "demand") != (rung.deadline_days is not None):
                raise ValueError(
                    "rungs: 书面催缴须有期限，其他不能有 (a demand has a deadline, no other has)"
                )
            demanded = demanded or rung.kind == "demand"
            if rung.kind in {"visit", "review"} and not demanded:
                raise ValueError(
                    "rungs: 书面催缴须在上门和研究之前 (the demand comes before visit and review)"
                )
