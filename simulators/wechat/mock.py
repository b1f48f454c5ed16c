"""Registers a core with `responses`, so that a client of WeChat Pay reaches it without a network."""

from __future__ import annotations

import re

import requests
import responses

from simulators.wechat.core import WechatCore

API = "https://api.mch.weixin.qq.com"


def register(core: WechatCore, mock: responses.RequestsMock, base: str = API) -> None:
    """Let every call to `base` be answered by `core`."""

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        found = core.handle(request.method or "GET", request.path_url, raw, dict(request.headers))
        if found.lost:
            raise requests.exceptions.ConnectionError("the simulated connection broke")
        headers = dict(found.headers)
        return found.status, headers, found.body

    for method in (responses.GET, responses.POST):
        mock.add_callback(method, re.compile(re.escape(base) + "/.*"), callback=answer, content_type=None)
