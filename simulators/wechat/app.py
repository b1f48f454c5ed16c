"""The core as a WSGI application: the API, the page a payer sees, the control API under `/_control/`.

| control request | body | does |
|---|---|---|
| `GET orders` | | every order, refund and line of the account |
| `POST pay` | `out_trade_no` | somebody pays |
| `POST forward` | `seconds` | lets time pass |
| `POST plan` | fields of `DeliveryPlan` | how notices fare from now on |
| `POST fault` | fields of `Fault` | a failure of the channel to come |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, jsonify, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from simulators.stripe.app import BODY_BYTES_MAX, break_connection
from simulators.stripe.deliveries import DeliveryPlan
from simulators.stripe.faults import Fault
from simulators.wechat.core import WechatCore
from simulators.wechat.errors import WechatRefusedError
from simulators.wechat.refunds import yuan
from simulators.wechat.state import Account, Order


class _Pay(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    out_trade_no: str


class _Forward(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    seconds: float


def create_app(core: WechatCore, happened: Callable[[], None] = lambda: None) -> Flask:
    """The whole stand-in; `happened` is called after each request, so that notices leave at once."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.register_blueprint(_pages(core))
    app.register_blueprint(_control(core))

    @app.route("/v3/<path:_rest>", methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
    def api(_rest: str) -> Response:
        # The signature covers the address exactly as it was sent.
        target = request.environ["RAW_URI"]
        found = core.handle(request.method, target, request.get_data(), dict(request.headers))
        if found.lost:
            break_connection()
        return Response(found.body, found.status or 200, dict(found.headers))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"code": "INVALID_REQUEST", "message": error.name}, error.code or 500

    @app.errorhandler(WechatRefusedError)
    def refused_error(refused: WechatRefusedError) -> tuple[dict[str, Any], int]:
        return {"code": refused.code, "message": refused.message}, refused.status

    @app.after_request
    def done(response: Response) -> Response:
        happened()
        return response

    return app


def _pages(core: WechatCore) -> Blueprint:
    # The page of the other stand-in's wallet serves here as well.
    pages = Blueprint("wechat", "simulators.stripe.pages", template_folder="templates")

    def order_of(prepay_id: str) -> Order:
        def find(account: Account) -> Order | None:
            return next((one for one in account.orders.values() if one.prepay_id == prepay_id), None)

        order = core.act(find)
        if order is None:
            raise WechatRefusedError("ORDER_NOT_EXIST", "付款码无效 | no such order", 404)
        return order

    @pages.get("/c/wechat-pay/<prepay_id>")
    def asked(prepay_id: str) -> str:
        order = order_of(prepay_id)
        closed = order.state == "CLOSED" or (order.state == "NOTPAY" and core.now() >= order.expires_at)
        state = "expired" if closed else ("open" if order.state == "NOTPAY" else "complete")
        return render_template(
            "wallet.html", name=order.description, amount=f"¥{yuan(order.total_fen)}", state=state
        )

    @pages.post("/c/wechat-pay/<prepay_id>")
    def answered(prepay_id: str) -> AnyResponse:
        order = order_of(prepay_id)
        if request.form.get("action") == "pay" and order.state == "NOTPAY":
            core.pay(order.out_trade_no)
        return redirect(request.path, 303)

    return pages


def _control(core: WechatCore) -> Blueprint:
    control = Blueprint("control", __name__, url_prefix="/_control")

    @control.get("/orders")
    def all_orders() -> dict[str, Any]:
        def everything(account: Account) -> dict[str, Any]:
            return {
                "orders": [asdict(one) for one in account.orders.values()],
                "refunds": [asdict(one) for one in account.refunds.values()],
                "flows": [asdict(one) for one in account.flows],
                "balance_fen": account.balance_fen,
            }

        return core.act(everything)

    def post(name: str, kind: type[Any], deed: Callable[[Any], object]) -> None:
        # Made before any thread uses it: msgspec 0.22 crashes where two are the first, both at once.
        decoder = msgspec.json.Decoder(kind)

        def view() -> Response | tuple[Response, int]:
            try:
                return jsonify(deed(decoder.decode(request.get_data() or b"{}")))
            except (msgspec.DecodeError, ValueError) as error:
                return jsonify({"code": "PARAM_ERROR", "message": str(error)}), 400

        control.add_url_rule(f"/{name}", name, view, methods=["POST"])

    def forward(body: _Forward) -> dict[str, Any]:
        core.forward(body.seconds)
        return {"now": core.now()}

    def plan(body: DeliveryPlan) -> dict[str, Any]:
        core.plan_deliveries(body)
        return {}

    def fault(body: Fault) -> dict[str, Any]:
        core.plan_fault(body)
        return {}

    post("pay", _Pay, lambda body: asdict(core.pay(body.out_trade_no)))
    post("forward", _Forward, forward)
    post("plan", DeliveryPlan, plan)
    post("fault", Fault, fault)
    return control
