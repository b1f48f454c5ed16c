"""The refusals of the API: an HTTP status, a code and a sentence, as the original gives them."""

from __future__ import annotations

from http import HTTPStatus


class WechatRefusedError(Exception):
    """An answer that is an error; nothing was changed."""

    def __init__(self, code: str, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        self.code, self.message, self.status = code, message, int(status)
        super().__init__(f"{code}: {message}")


def wrong_parameter(name: str, why: str) -> WechatRefusedError:
    """A parameter that is missing or malformed."""
    return WechatRefusedError("PARAM_ERROR", f"参数错误：{name} {why}")


def invalid(message: str) -> WechatRefusedError:
    """A request that does not fit what is there."""
    return WechatRefusedError("INVALID_REQUEST", message)


def badly_signed(why: str) -> WechatRefusedError:
    """The request is not the merchant's."""
    return WechatRefusedError("SIGN_ERROR", f"签名错误：{why}", HTTPStatus.UNAUTHORIZED)


def no_order() -> WechatRefusedError:
    """There is no such order."""
    return WechatRefusedError("ORDER_NOT_EXIST", "订单不存在", HTTPStatus.NOT_FOUND)


def no_refund() -> WechatRefusedError:
    """There is no such refund."""
    return WechatRefusedError("RESOURCE_NOT_EXISTS", "退款单不存在", HTTPStatus.NOT_FOUND)
