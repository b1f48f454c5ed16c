"""The simulated WeChat Pay over HTTP: signed requests, the payer's page, notices, and the command."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from estate.processes import free_port, port_answers, wait_until

RUN = [sys.executable, "-c", "from simulators.wechat.command import wechat; wechat()"]


class Side:
    """The merchant's side, out of the folder that the stand-in made."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.facts = json.loads((folder / "merchant.json").read_text())
        key = load_pem_private_key((folder / "merchant_key.pem").read_bytes(), None)
        public = load_pem_public_key((folder / "platform_public.pem").read_bytes())
        assert isinstance(key, rsa.RSAPrivateKey)
        assert isinstance(public, rsa.RSAPublicKey)
        self._key, self._public = key, public
        self._sealed = (folder / "api_v3_key").read_text().encode()

    def ask(self, method: str, target: str, body: dict[str, Any] | None = None) -> requests.Response:
        raw = json.dumps(body).encode() if body is not None else b""
        stamp = str(int(time.time()))
        message = f"{method}\n{target}\n{stamp}\nN\n".encode() + raw + b"\n"
        signed = base64.b64encode(self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        fields = (
            f'mchid="{self.facts["mchid"]}",nonce_str="N",signature="{signed}",timestamp="{stamp}",'
            f'serial_no="{self.facts["serial"]}"'
        )
        headers = {"Authorization": f"WECHATPAY2-SHA256-RSA2048 {fields}"}
        answer = requests.request(method, self.url + target, data=raw, headers=headers, timeout=20)
        if "Wechatpay-Signature" in answer.headers:
            self.check(answer.headers, answer.content)
        return answer

    def check(self, headers: Any, body: bytes) -> None:
        message = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n".encode() + body + b"\n"
        signature = base64.b64decode(headers["Wechatpay-Signature"])
        self._public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())

    def open(self, body: bytes) -> dict[str, Any]:
        resource = json.loads(body)["resource"]
        sealed = base64.b64decode(resource["ciphertext"])
        told: dict[str, Any] = json.loads(
            AESGCM(self._sealed).decrypt(
                resource["nonce"].encode(), sealed, resource["associated_data"].encode()
            )
        )
        return told


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[tuple[Any, bytes]]]]:
    got: list[tuple[Any, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/notice", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    port = free_port()
    folder = tmp_path / "keys"
    child = subprocess.Popen(
        [*RUN, "--port", str(port), "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    assert f"127.0.0.1:{port}" in child.stdout.readline()
    yield Side(folder, f"http://127.0.0.1:{port}")
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (0, "")
    assert not port_answers(port)


def test_an_order_is_paid_on_its_page_and_told(
    side: Side, inbox: tuple[str, list[tuple[Any, bytes]]]
) -> None:
    url, got = inbox
    order = {
        "appid": side.facts["appid"],
        "mchid": side.facts["mchid"],
        "description": "租金",
        "out_trade_no": "ORDER0001",
        "notify_url": url,
        "amount": {"total": 30_000, "currency": "CNY"},
    }
    code = side.ask("POST", "/v3/pay/transactions/native", order).json()["code_url"]
    assert "¥300.00" in requests.get(code, timeout=20).text
    assert "付款成功" in requests.post(code, data={"action": "pay"}, timeout=20).text
    assert "付款成功" in requests.post(code, data={"action": "pay"}, timeout=20).text
    wait_until(lambda: bool(got), 20, "no notice came")
    headers, body = got[0]
    side.check(headers, body)
    assert side.open(body)["trade_state"] == "SUCCESS"
    target = f"/v3/pay/transactions/out-trade-no/ORDER0001?mchid={side.facts['mchid']}"
    assert side.ask("GET", target).json()["trade_state"] == "SUCCESS"
    held = requests.get(f"{side.url}/_control/orders", timeout=20).json()
    assert (held["balance_fen"], len(held["orders"])) == (29_820, 1)


def test_the_control_api_and_rubbish(side: Side) -> None:
    for name, body, said in (
        ("pay", '{"out_trade_no": "NOTHING1"}', "订单不存在"),
        ("pay", "{}", "out_trade_no"),
        ("plan", '{"copys": 1}', "copys"),
        ("forward", '{"seconds": -1}', "forward"),
        ("fault", '{"kind": "earthquake"}', "earthquake"),
    ):
        answer = requests.post(f"{side.url}/_control/{name}", data=body.encode(), timeout=20)
        assert answer.status_code in (400, 404)
        assert said in answer.json()["message"]
    assert requests.get(f"{side.url}/v3/certificates", timeout=20).status_code == 401
    assert requests.get(f"{side.url}/c/wechat-pay/nothing", timeout=20).status_code == 404
    big = requests.post(f"{side.url}/v3/pay/transactions/native", data=b"x" * 2_000_000, timeout=20)
    assert big.status_code == 413
    assert side.ask("GET", "/v3/unicorns").status_code == 404
