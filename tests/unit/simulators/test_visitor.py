import pytest
import responses

from simulators.demo.visitor import PageError, Visitor

PAGE = """<form action="/search"><input name="q"></form>
<form method="POST" action="/pay"><input type="hidden" name="csrf_token" value="t1">
<input type="radio" name="method" value="card"><input type="radio" name="method" value="wechat_pay" checked>
<button name="amount" value="all">pay</button></form>"""


@responses.activate
def test_a_form_is_sent_with_its_hidden_fields_its_checked_choice_and_the_pressed_button() -> None:
    responses.get("http://estate.test/rent", PAGE)
    paid = responses.post("http://estate.test/pay", "paid")
    visitor = Visitor()
    visitor.open("http://estate.test/rent")
    assert visitor.submit({}, action="/pay", press=("amount", "all")) == "paid"
    assert paid.calls[0].request.body == "csrf_token=t1&method=wechat_pay&amount=all"


@responses.activate
def test_a_missing_form_and_a_refused_page_are_named() -> None:
    responses.get("http://estate.test/rent", PAGE)
    responses.get("http://estate.test/gone", status=404)
    visitor = Visitor()
    visitor.open("http://estate.test/rent")
    with pytest.raises(PageError, match="no form for /refund"):
        visitor.submit({}, action="/refund")
    with pytest.raises(PageError, match="HTTP 404"):
        visitor.open("/gone")
