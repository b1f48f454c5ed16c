"""`estate simulate bills`: a month of bills and statements in a folder, with errors on request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import cast

import click

from simulators.bank import bank_files, channel_files
from simulators.bank.month import (
    ERROR_KINDS,
    Channel,
    ChannelMonth,
    ErrorKind,
    Payment,
    Stage,
    bank_month,
    channel_month,
)
from simulators.bank.sample import sample_payments

CHANNELS: tuple[Channel, ...] = ("stripe", "wechat", "alipay")
STAGES: tuple[str, ...] = ("stripe:bill", "wechat:bill", "wechat:flow", "alipay:bill", "bank")
# Payouts of the last days arrive in the next month.
TAIL_DAYS = 7
OPENING_FEN = 500_000


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="写到哪里  |  where to"
)
@click.option("--month", type=click.DateTime(formats=["%Y-%m"]), default="2026-11", show_default=True)
@click.option(
    "--count",
    type=click.IntRange(60, 100_000),
    default=300,
    show_default=True,
    help="每渠道笔数  |  each channel",
)
@click.option("--book", "books", multiple=True, default=("pengjiang-1",), show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--payments",
    "payments_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="用这些付款（JSON，见 payments.json）代替虚构的  |  these payments instead of invented ones",
)
@click.option(
    "--errors",
    "errors_each",
    type=click.IntRange(0, 10),
    default=0,
    show_default=True,
    help="每处每种几个差错  |  errors of each kind",
)
@click.option(
    "--in",
    "stages",
    type=click.Choice(STAGES),
    multiple=True,
    help="差错放在哪里，缺省为全部  |  where; all by default",
)
@click.option("--mchid", default="1900000109", show_default=True)
@click.option("--alipay-account", default="20881234567890120156", show_default=True)
@click.option("--bank-account", default="44050167010100000001", show_default=True)
def bills(
    folder: Path,
    month: datetime,
    count: int,
    books: tuple[str, ...],
    seed: int,
    payments_file: Path | None,
    errors_each: int,
    stages: tuple[str, ...],
    mchid: str,
    alipay_account: str,
    bank_account: str,
) -> None:
    """模拟一个月的渠道账单和银行流水  |  a simulated month of channel bills and bank statements."""
    random, from_on = Random(seed), month.date()
    month_end = (from_on + timedelta(days=31)).replace(day=1)
    to_on = month_end + timedelta(days=TAIL_DAYS)
    wanted = stages or STAGES
    given = _given(payments_file)
    months: list[ChannelMonth] = []
    payments: dict[str, list[dict[str, object]]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for channel in CHANNELS:
        found = (
            given.get(channel)
            if given is not None
            else sample_payments(channel, count, from_on, (month_end - from_on).days, books, random)
        )
        if not found:
            continue
        months.append(channel_month(channel, found, random, _errors(channel, wanted, errors_each)))
        payments[channel] = [{**asdict(one), "at": one.at.isoformat()} for one in found]
    in_bank = [(kind, errors_each) for kind in ERROR_KINDS] if "bank" in wanted and errors_each else []
    lines, put_in = bank_month(months, random, in_bank)
    for one in months:
        _write_channel(folder, one, mchid, alipay_account, from_on, to_on)
        put_in += one.errors
    opening = (bank_account, OPENING_FEN)
    (folder / "bank.csv").write_bytes(bank_files.bank_csv(lines, *opening))
    (folder / "bank.xml").write_bytes(bank_files.camt053(lines, *opening, from_on, to_on))
    (folder / "bank.mt940").write_bytes(bank_files.mt940(lines, *opening, from_on, to_on))
    _write_json(folder / "payments.json", payments)
    _write_json(folder / "errors.json", [asdict(one) for one in put_in])
    total = sum(len(found) for found in payments.values())
    click.echo(
        f"{total} 笔收付，{len(lines)} 条银行流水，{len(put_in)} 处差错：{folder}"
        f"  |  {total} payments, {len(lines)} bank lines, {len(put_in)} errors"
    )


def _errors(channel: Channel, wanted: Sequence[str], count: int) -> list[tuple[Stage, ErrorKind, int]]:
    places = [place.partition(":")[2] for place in wanted if place.startswith(f"{channel}:")]
    return [(cast(Stage, stage), kind, count) for stage in places for kind in ERROR_KINDS if count]


def _given(path: Path | None) -> dict[Channel, list[Payment]] | None:
    if path is None:
        return None
    try:
        read = json.loads(path.read_text("utf-8"))
        return {
            channel: [Payment(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in found]
            for channel, found in read.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.ClickException(
            f"{path} 不是付款清单，样式见 payments.json  |  is no list of payments: {error}"
        ) from error


def _write_channel(
    folder: Path, month: ChannelMonth, mchid: str, alipay_account: str, from_on: date, to_on: date
) -> None:
    match month.channel:
        case "stripe":
            (folder / "stripe.csv").write_bytes(channel_files.stripe_report(month))
        case "wechat":
            for day, raw in channel_files.wechat_trade_bills(month, mchid).items():
                (folder / f"wechat-trade-{day}.csv").write_bytes(raw)
            for day, raw in channel_files.wechat_flow_bills(month).items():
                (folder / f"wechat-flow-{day}.csv").write_bytes(raw)
        case "alipay":
            (folder / "alipay.zip").write_bytes(
                channel_files.alipay_zip(month, alipay_account, from_on, to_on)
            )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
