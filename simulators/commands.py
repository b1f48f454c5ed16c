"""`estate simulate`: everything that stands in for hardware and for the payment channel."""

from __future__ import annotations

import click

from simulators.bank.command import bills
from simulators.doors.command import doors
from simulators.messages.command import messages
from simulators.panels.command import panels
from simulators.stripe.command import stripe
from simulators.wechat.command import wechat


@click.group()
def simulate() -> None:
    """模拟器：门口设备、人脸面板、支付渠道  |  stand-ins for doors, panels and the payment channel."""


simulate.add_command(bills)
simulate.add_command(doors)
simulate.add_command(messages)
simulate.add_command(panels)
simulate.add_command(stripe)
simulate.add_command(wechat)
