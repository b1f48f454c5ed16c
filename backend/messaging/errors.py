"""What the messages refuse."""

from __future__ import annotations

from backend.errors import ExplainedError


class AddressError(ExplainedError):
    """No telephone number or WeChat open id."""

    code = "address"

    def __init__(self, channel: str) -> None:
        self.channel = channel
        # Not quoted: what was typed is probably somebody's number.
        super().__init__(
            "手机号应为 11 位数字；微信标识应为 6 至 80 个字母、数字或 - _。",
            "A telephone number has 11 digits; a WeChat open id has 6 to 80 letters, digits, - or _.",
        )
