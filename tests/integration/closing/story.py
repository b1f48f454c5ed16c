"""What happens in the simulated year, month by month: every kind of voucher occurs."""

from __future__ import annotations

from datetime import date

from tests.integration.closing.year import YEAR, Year


def take_over(year: Year) -> None:
    """The first day: arrears, deposits, prepaid rent and money of the old system."""
    on, house, owed_fen = date(YEAR, 1, 1), year.houses[0], 0
    months = (date(YEAR - 1, 11, 1), date(YEAR - 1, 12, 1))
    entries = [
        year.entry("opening_arrears", f"{house.tenancy_id}:{old:%Y-%m}", on, {"rent": 50_000}, house)
        for old in months
    ]
    for one in year.houses:
        parts = {"deposit": 100_000, "prepaid": 20_000 if one.number == 1 else 0}
        owed_fen += sum(parts.values())
        amounts = {**parts, "owed": sum(parts.values())}
        entries.append(year.entry("opening_balance", f"old:{one.number + 1}", on, amounts, one))
    money = {"bank": owed_fen + 300_000}
    year.collected["rent"] += 300_000
    amounts = {**money, "money": sum(money.values()), "owed": 300_000, "rent_unremitted": 300_000}
    entries.append(year.entry("opening_balance", "old:0", on, amounts))
    year.take_over(on, entries, money)
    for old in months:
        house.owed["rent"] += 50_000
        year._charge_row(house, old, on, 50_000, revision=1)


def play(year: Year, month: int) -> None:
    """One month, from its charges to its bank charges."""
    if month == 1:
        take_over(year)
    first = date(YEAR, month, 1)
    _charges(year, month, first)
    _receipts(year, month, first)
    _channels(year, month, first)
    _specials(year, month, first)
    _bank(year, month, first)


def _charges(year: Year, month: int, first: date) -> None:
    for house in year.houses:
        lines = {"rent": year.rent_fen(house), "property_fee": 3_000, "utilities": 1_234 + house.number}
        if house.number == 0:
            lines["relief"] = 20_000
            lines |= {"late_fee": 50} if month > 1 else {}
            lines |= {"relief_back": 20_000} if month == 6 else {}
        if house.number == 1:
            lines["subsidy"] = 10_000
            lines |= {"subsidy_back": 10_000} if month == 6 else {}
        if house.number == 2 and month == 8:
            lines["damage"] = 7_000
        if house.number == 4 and month == 4:
            lines["deposit"] = 100_000
        year.charge(house, first, first, lines)


def _receipts(year: Year, month: int, first: date) -> None:
    if month in {1, 2}:
        used = {1: 20_000, 2: 5_000}[month]
        house = year.houses[1]
        house.owed["rent"] -= used
        year.collected["rent"] += used
        year.post("prepaid_use", f"{month}:1", first.replace(day=2), {"amount": used, "rent": used}, house)
    on = first.replace(day=5)
    damage = year.houses[2].owed.pop("damage", 0)
    for number, holder in ((1, "stripe"), (2, "wechat"), (3, "alipay"), (4, "cash"), (5, "bank")):
        for house in year.houses[number::6]:
            year.pay(house, on, holder, f"{month}-{house.number}", prepaid=5_000 if number == 1 else 0)
    year.houses[2].owed["damage"] = damage
    if month % 2:
        year.pay(year.houses[0], on, "cash", f"part-{month}", part=40_000)


def _channels(year: Year, month: int, first: date) -> None:
    on = first.replace(day=8)
    for holder in ("stripe", "wechat", "alipay"):
        fee = 60 + month
        year.fees_fen += fee
        year.post(
            "provider_fee", f"{holder}:fee-{month}", on, {"fee": fee}, holder=holder, outside={holder: -fee}
        )
    paid_out = year.held("stripe", on) - 10_000
    year.post(
        "payout",
        f"stripe:po-{month}",
        on,
        {"amount": paid_out},
        holder="stripe",
        outside={"stripe": -paid_out},
    )
    if month == 5:
        # Nobody recognises the line at first.
        year.post(
            "suspense_received",
            "line-5-po",
            first.replace(day=10),
            {"amount": paid_out},
            outside={"bank": paid_out},
        )
        year.post("suspense_was_payout", "line-5-po", first.replace(day=12), {"amount": paid_out})
    else:
        year.post(
            "payout_arrived",
            f"line-{month}",
            first.replace(day=10),
            {"amount": paid_out},
            outside={"bank": paid_out},
        )
    if month % 2:
        failed = 1_000
        year.post(
            "payout",
            f"alipay:po-{month}",
            first.replace(day=12),
            {"amount": failed},
            holder="alipay",
            outside={"alipay": -failed},
        )
        year.mirror("payout_failed", f"payout/alipay:po-{month}", first.replace(day=13), {"alipay": failed})
    # A payout at the end of the month arrives in the next one.
    if year.wechat_on_its_way_fen:
        arrived = year.wechat_on_its_way_fen
        year.post(
            "payout_arrived",
            f"line-{month}-w",
            first.replace(day=2),
            {"amount": arrived},
            outside={"bank": arrived},
        )
    leaving = year.held("wechat", first.replace(day=28)) - 500
    year.wechat_on_its_way_fen = leaving
    year.post(
        "payout",
        f"wechat:po-{month}",
        first.replace(day=28),
        {"amount": leaving},
        holder="wechat",
        outside={"wechat": -leaving},
    )


def _specials(year: Year, month: int, first: date) -> None:
    on, houses = first.replace(day=16), year.houses
    if month % 2 == 0:
        houses[1].owed["rent"] += 1_000
        year.collected["rent"] -= 1_000
        amounts = {"amount": 1_000, "rent": 1_000}
        year.post("refund", f"stripe:re-{month}", on, amounts, houses[1], "stripe", {"stripe": -1_000})
        if month == 8:  # meanwhile it is paid once more, so what comes back is prepaid rent
            year.pay(houses[1], first.replace(day=17), "cash", "meanwhile", part=1_000)
        if month % 4 == 0:
            houses[1].owed["rent"] -= 1_000
            year.collected["rent"] += 1_000
            year.mirror(
                "refund_failed", f"refund/stripe:re-{month}", first.replace(day=18), {"stripe": 1_000}
            )
        if month == 8:
            houses[1].owed["rent"] += 1_000
            year.collected["rent"] -= 1_000
            year.post("refund_came_back", f"failed-{month}", first.replace(day=18), amounts, houses[1])
        year.collected["rent"] += 10_000
        year.post("subsidy_received", f"sub-{month}", on, {"amount": 10_000}, outside={"bank": 10_000})
    for act in _SPECIALS.get(month, ()):
        act(year, on)


def _suspense_arrives(year: Year, on: date) -> None:
    year.post("suspense_received", "line-2-x", on, {"amount": 7_777}, outside={"bank": 7_777})


def _suspense_found(year: Year, on: date) -> None:
    year.pay(year.houses[0], on, "suspense", "line-2-x", part=7_777)


def _dispute_opens(year: Year, on: date) -> None:
    amounts = {"amount": 5_000, "fee": 150}
    year.fees_fen += 150
    year.post(
        "dispute_opened", f"stripe:dp-{on:%m}", on, amounts, holder="stripe", outside={"stripe": -5_150}
    )


def _dispute_won(year: Year, on: date) -> None:
    amounts = {"amount": 5_000, "fee": 150}
    year.fees_fen -= 150
    year.post("dispute_won", "stripe:dp-03", on, amounts, holder="stripe", outside={"stripe": 5_150})


def _dispute_lost(year: Year, on: date) -> None:
    year.houses[1].owed["rent"] += 5_000
    year.collected["rent"] -= 5_000
    year.post("dispute_lost", "stripe:dp-09", on, {"amount": 5_000, "rent": 5_000}, year.houses[1], "stripe")


def _returned(year: Year, on: date) -> None:
    year.post("suspense_received", "line-4-y", on, {"amount": 2_222}, outside={"bank": 2_222})
    year.post("suspense_returned", "order-4", on.replace(day=19), {"amount": 2_222}, outside={"bank": -2_222})


def _waiver(year: Year, on: date) -> None:
    amounts = {"rent": 1_000, "late_fee": 50, "rent_paid": 200, "paid": 200}
    year.houses[0].owed.subtract({"rent": 1_000, "late_fee": 50})
    year.collected["rent"] -= 200
    proposal = year.agreed("waiver", on, "charge:1")
    year.post("waiver", str(proposal), on, amounts, year.houses[0])


def _exchange(year: Year, on: date) -> None:
    words = {"loss": 37} if on.month == 5 else {"gain": 12}
    outside = {"stripe": -words.get("loss", 0) + words.get("gain", 0)}
    year.fees_fen -= outside["stripe"]
    year.post("exchange_difference", f"stripe:fx-{on:%m}", on, words, holder="stripe", outside=outside)


def _unknown_payment(year: Year, on: date) -> None:
    year.post("suspense_paid", "line-6-z", on, {"amount": 500}, outside={"bank": -500})


def _came_back(year: Year, on: date) -> None:
    year.post("suspense_came_back", "line-7-z", on, {"amount": 500}, outside={"bank": 500})


def _refund_by_bank(year: Year, on: date) -> None:
    year.houses[3].owed["rent"] += 2_000
    year.collected["rent"] -= 2_000
    amounts = {"amount": 2_000, "rent": 2_000}
    year.post("refund_transfer", "order-7", on, amounts, year.houses[3], outside={"bank": -2_000})


def _written_off(year: Year, on: date) -> None:
    year.houses[0].owed["rent"] -= 3_000
    proposal = year.agreed("write_off", on, "household:0")
    year.post("write_off", str(proposal), on, {"rent": 3_000}, year.houses[0])
    year.post("deposit_held", "t2:held:1", on, {"amount": 30_000}, year.houses[2])


def _recovered(year: Year, on: date) -> None:
    year.houses[0].owed["rent"] += 1_000
    year.post("recovery", "proposal-2:SJ-1", on, {"rent": 1_000}, year.houses[0])
    year.pay(year.houses[0], on, "cash", "recovered", part=1_000)
    year.houses[2].owed["damage"] -= 7_000
    year.collected["damage"] += 7_000
    year.post("deposit_damage", "t2:c", on, {"from_held": 7_000, "damage": 7_000}, year.houses[2])
    year.post("deposit_released", "t2:released:1", on, {"amount": 23_000}, year.houses[2])


def _deposit_returned(year: Year, on: date) -> None:
    year.post(
        "deposit_returned", "order-10", on, {"amount": 93_000}, year.houses[2], outside={"bank": -93_000}
    )
    year.post("manual", str(year.agreed("manual_entry", on, "entry:1")), on, {})
    year.cash_fen -= 100


def _paid_out(year: Year, on: date) -> None:
    year.post("prepaid_paid_out", "order-11", on, {"amount": 1_000}, year.houses[1], outside={"bank": -1_000})
    year.post("bank_charge", "line-wrong", on, {"amount": 990}, outside={"bank": -990})
    year.mirror("reversal", "bank_charge/line-wrong", on, {"bank": 990})
    year.post("bank_charge", "line-right", on, {"amount": 99}, outside={"bank": -99})
    year.fees_fen += 99


_SPECIALS = {
    2: (_suspense_arrives,),
    3: (_suspense_found, _dispute_opens),
    4: (_dispute_won, _returned),
    5: (_waiver, _exchange),
    6: (_exchange, _unknown_payment),
    7: (_came_back, _refund_by_bank),
    8: (_written_off,),
    9: (_recovered, _dispute_opens),
    10: (_dispute_lost, _deposit_returned),
    11: (_paid_out,),
}


def _bank(year: Year, month: int, first: date) -> None:
    cash, year.cash_fen = year.cash_fen, 0
    year.post("cash_banked", f"slip-{month}", first.replace(day=17), {"amount": cash}, outside={"bank": cash})
    year.fees_fen += 1_500
    year.post(
        "bank_charge", f"line-c-{month}", first.replace(day=20), {"amount": 1_500}, outside={"bank": -1_500}
    )
    if month % 3 == 0:
        year.collected["interest"] += 333
        year.post(
            "bank_interest", f"line-i-{month}", first.replace(day=21), {"amount": 333}, outside={"bank": 333}
        )
        fees, year.fees_fen = year.fees_fen, 0
        year.post(
            "funding", f"line-f-{month}", first.replace(day=27), {"amount": fees}, outside={"bank": fees}
        )
    parts = {due: year.collected.pop(due, 0) for due in ("rent", "late_fee", "damage", "interest")}
    fen = sum(parts.values())
    year.post(
        "remittance",
        f"JKS-{month:03d}",
        first.replace(day=25),
        {**parts, "amount": fen},
        outside={"bank": -fen},
    )
    parts = {due: year.collected.pop(due, 0) for due in ("property_fee", "utilities")}
    fen = sum(parts.values())
    year.post(
        "paid_on", f"FK-{month:03d}", first.replace(day=26), {**parts, "amount": fen}, outside={"bank": -fen}
    )
