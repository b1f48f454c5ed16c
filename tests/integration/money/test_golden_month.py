"""docs/golden-month.md, done by the software: every line, every balance, and the trial balance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import select

from backend.rent import measures
from backend.rent.measures import NewMeter
from backend.rent.rules import LineKind, TermKind
from backend.rent.service import (
    Agreed,
    NewPayment,
    add_term,
    charge_once,
    end_term,
    reassess,
    run_month,
    take_payment,
)
from backend.rent.settings import LateFeeRule, RentSettings
from backend.rent.tables import rent_charge, rent_charge_line
from backend.rent.tariffs import TariffFile, TariffVersion, TierVersion, load_tariffs
from tests.integration.money.conftest import Home, make_home

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from backend.identity.principal import Principal
    from tests.integration.money.conftest import Office

PAGE = Path(__file__).resolve().parents[3] / "docs" / "golden-month.md"
RULES = RentSettings(due_day=15, late_fee=LateFeeRule(daily_ppm=500))
ESTATE, YEAR = "pengjiang-1", date(2026, 1, 1)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
Rows = list[dict[str, str]]
Line = tuple[str, str, str, str, int]


def tables() -> dict[str, Rows]:
    """Every table of the page, by its heading: a row as a dictionary."""
    found: dict[str, Rows] = {}
    heading = ""
    header: list[str] = []
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading, header = line[3:], []
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not header:
                header = cells
                found[heading] = []
            elif not set(line) <= set("|- "):
                found[heading].append(dict(zip(header, cells, strict=True)))
    return found


TABLES = tables()


def fen(yuan: str) -> int:
    whole, part = yuan.replace(",", "").split(".")
    return int(whole) * 100 + int(part.ljust(2, "0")) * (-1 if yuan.startswith("-") else 1)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 2, 0, tzinfo=UTC)


def yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"


class Month:
    """What the office does, in the order of the page."""

    def __init__(self, office: Office, clerk: Principal) -> None:
        self.office, self.clerk = office, clerk
        self.homes: dict[str, Home] = {}
        self.subsidy: UUID | None = None
        self.payments = 0

    def prices(self, connection: Connection) -> None:
        tariffs = tuple(
            TariffVersion(
                plan_id=row["plan"],
                kind=row["kind"],  # type: ignore[arg-type]
                from_on=date.fromisoformat(row["from"]),
                price_centifen=round_price(row["price"]),
                name_zh=row["plan"],
                source_zh="示例",
            )
            for row in TABLES["Prices"]
        )
        tiers = tuple(
            TierVersion(tier_id=name, from_on=YEAR, share_permille=share, name_zh=name, source_zh="示例")
            for name, share in (("low-income", 700), ("subsistence", 900))
        )
        load_tariffs(connection, TariffFile(tariff=tariffs, tier=tiers), at(YEAR))

    def households(self, connection: Connection) -> None:
        rents = {"C": 50_000, "D": 90_000, "E": 80_000}
        for row in TABLES["Households"]:
            name = row["household"]
            home = make_home(connection, ESTATE, rents.get(name, 1), date.fromisoformat(row["from"]), None)
            self.homes[name] = home
            measures.set_area(connection, home.unit_id, fen(row["m²"]), YEAR, self.clerk, at(YEAR))

    def terms(self, connection: Connection) -> None:
        standard = "standard"
        for name in "AB":
            self.agree(connection, name, TermKind.RENT, plan_id=standard)
        for name in "ABD":
            self.agree(connection, name, TermKind.PROPERTY_FEE, plan_id=standard)
        self.agree(connection, "B", TermKind.RELIEF, tier_id="low-income")
        self.subsidy = self.agree(connection, "C", TermKind.SUBSIDY, monthly_fen=60_000)

    def agree(
        self,
        connection: Connection,
        name: str,
        kind: TermKind,
        from_on: date = YEAR,
        *,
        monthly_fen: int | None = None,
        plan_id: str | None = None,
        tier_id: str | None = None,
    ) -> UUID:
        term = Agreed(kind, from_on, None, kind.value, monthly_fen, None, plan_id, tier_id)
        return add_term(connection, self.homes[name].tenancy_id, term, self.clerk, at(YEAR))

    def readings(self, connection: Connection) -> None:
        figures = (
            ("A", "water", "tap", 10_000, 11_250),
            ("A", "gas", "pipe", 30_000, 30_800),
            ("B", "electricity", "grid", 200_000, 215_000),
        )
        for name, kind, plan, first, last in figures:
            new = NewMeter(
                self.homes[name].unit_id, kind, plan, f"{name}-{kind}", 100_000_000, first, date(2026, 9, 30)
            )
            measures.install_meter(connection, new, self.clerk, at(date(2026, 9, 30)))
            measures.read_meter(
                connection, kind, f"{name}-{kind}", date(2026, 10, 31), last, self.clerk, at(NOVEMBER)
            )

    def run(self, month: date, on: date) -> None:
        run_month(self.office.engine, ESTATE, month, self.clerk, at(on), RULES)

    def pay(self, rows: Rows) -> None:
        for row in rows:
            self.payments += 1
            home, paid_at = self.homes[row["household"]], at(date.fromisoformat(row["on"]))
            given = NewPayment(
                ESTATE,
                home.household_id,
                "stripe",
                f"pi_{self.payments}",
                "wechat_pay",
                fen(row["amount"]),
                paid_at,
            )
            with self.office.engine.begin() as connection:
                take_payment(connection, given, actor="golden", now=paid_at)

    def lines(self, month: date, *, corrects: bool | None, once: bool = False) -> list[Line]:
        """The lines of a month's charges as the page writes them."""
        names = {home.tenancy_id: name for name, home in self.homes.items()}
        query = (
            select(rent_charge.c.tenancy_id, rent_charge.c.revision, rent_charge_line)
            .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
            .where(rent_charge.c.month == month, rent_charge_line.c.corrects == bool(corrects))
            .order_by(rent_charge_line.c.line_no)
        )
        with self.office.engine.connect() as connection:
            rows = connection.execute(query).all()
        return sorted(
            (
                (
                    names[row.tenancy_id],
                    row.kind,
                    row.from_on.isoformat(),
                    row.to_on.isoformat(),
                    row.amount_fen,
                )
                for row in rows
                if (row.revision > 0) == (once or bool(corrects))
            ),
        )


def round_price(text: str) -> int:
    """Yuan as hundredths of a fen."""
    whole, part = text.split(".")
    return int(whole) * 10_000 + int(part.ljust(4, "0"))


def written(heading: str) -> list[Line]:
    return sorted(
        (row["household"], row["line"], row["from"], row["until"], fen(row["amount"]))
        for row in TABLES[heading]
    )


def short(rows: list[Line]) -> list[tuple[str, str, int]]:
    return [(name, kind, amount) for name, kind, _, _, amount in rows]


def briefly(heading: str) -> list[tuple[str, str, int]]:
    return sorted((row["household"], row["line"], fen(row["amount"])) for row in TABLES[heading])


@pytest.fixture
def month(office: Office, clerk: Principal) -> Month:
    """The office at the end of November, everything done."""
    done = Month(office, clerk)
    with office.engine.begin() as connection:
        done.prices(connection)
        done.households(connection)
        done.terms(connection)
    done.run(OCTOBER, date(2026, 10, 3))
    done.pay(TABLES["October, as it was paid"])
    with office.engine.begin() as connection:
        done.readings(connection)
    done.run(NOVEMBER, date(2026, 11, 3))
    paid = TABLES["November, as it is paid"]
    done.pay([row for row in paid if row["on"] < "2026-11-16"])
    with office.engine.begin() as connection:
        moved_in, lost = at(date(2026, 11, 16)), at(date(2026, 11, 17))
        charge_once(
            connection, done.homes["D"].tenancy_id, LineKind.DEPOSIT, 100_000, "押金", clerk, moved_in, RULES
        )
        charge_once(
            connection, done.homes["E"].tenancy_id, LineKind.DAMAGE, 3_500, "补办钥匙", clerk, lost, RULES
        )
    done.pay([row for row in paid if "2026-11-16" <= row["on"] < "2026-11-20"])
    with office.engine.begin() as connection:
        noticed = at(date(2026, 11, 20))
        done.agree(connection, "B", TermKind.RELIEF, NOVEMBER, tier_id="subsistence")
        reassess(connection, done.homes["B"].tenancy_id, NOVEMBER, clerk, noticed, RULES)
        assert done.subsidy is not None
        end_term(connection, done.subsidy, NOVEMBER, clerk, noticed, RULES)
    done.pay([row for row in paid if row["on"] >= "2026-11-20"])
    return done


def test_the_software_charges_what_the_page_works_out(month: Month) -> None:
    assert month.lines(OCTOBER, corrects=False) == written("October, as it was charged")
    assert month.lines(NOVEMBER, corrects=False) == written("November, as it is charged")
    assert short(month.lines(NOVEMBER, corrects=False, once=True)) == briefly("November, asked for once")
    assert short(month.lines(NOVEMBER, corrects=True)) == briefly("November, put right")
    kinds = {row["line"] for heading in TABLES for row in TABLES[heading] if "line" in row}
    assert kinds == set(LineKind)


def test_everybody_owes_what_the_page_says(month: Month) -> None:
    found: dict[str, Mapping[str, str]] = {}
    for name, home in month.homes.items():
        account = month.office.statement(home)
        found[name] = {
            "owed": yuan(account.total_owed_fen),
            "in advance": yuan(account.prepaid_fen),
            "to their credit": yuan(account.credit_fen),
        }
    wanted = {
        row["household"]: {word: row[word] for word in ("owed", "in advance", "to their credit")}
        for row in TABLES["What everybody owes at the end"]
    }
    assert found == wanted


def test_the_trial_balance_is_that_of_the_page(month: Month) -> None:
    rows = TABLES["The trial balance"]
    assert month.office.balances() == "\n".join(
        f"{row['account']} {row['name']} {row['side']} {row['balance']}" for row in rows
    )
    sums = {side: sum(fen(row["balance"]) for row in rows if row["side"] == side) for side in "借贷"}
    assert sums["借"] == sums["贷"]
    (stated,) = re.findall(r"both ([0-9,]+\.[0-9]{2})", PAGE.read_text("utf-8").replace("\n", " "))
    assert fen(stated) == sums["借"]


def test_every_payment_of_the_page_is_in_the_books(month: Month) -> None:
    rows = [*TABLES["October, as it was paid"], *TABLES["November, as it is paid"]]
    assert month.payments == len(rows)
    assert month.office.count("payment") == len(rows)


def test_the_rules_of_the_page_are_those_of_the_test() -> None:
    said = PAGE.read_text("utf-8")
    assert "due on the 15th" in said
    assert "0.05 % a day" in said
