"""The form of enrolment tickets, as both sides have it in writing."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.kiosk.ticket import TICKET_BYTES_MAX, TicketError, read_ticket

CONTRACT = json.loads(Path("tests/contracts/enrolment_tickets.json").read_text("utf-8"))
KEYS = {CONTRACT["estate"]: base64.b64decode(CONTRACT["key"])}


@pytest.mark.parametrize("case", CONTRACT["tickets"], ids=lambda case: case["name"])
def test_a_ticket_says_what_the_contract_says(case: dict[str, Any]) -> None:
    if "says" in case:
        ticket = read_ticket(case["ticket"], KEYS, case["now_s"])
        assert msgspec.to_builtins(ticket) == case["says"]
        return
    with pytest.raises(TicketError) as caught:
        read_ticket(case["ticket"], KEYS, case["now_s"])
    assert caught.value.fault == case["fault"]


def test_an_endless_ticket_is_not_unpacked() -> None:
    with pytest.raises(TicketError) as caught:
        read_ticket("A" * (TICKET_BYTES_MAX + 1), KEYS, 0)
    assert caught.value.fault == "unreadable"
