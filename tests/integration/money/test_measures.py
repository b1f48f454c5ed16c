"""Areas, meters, tariffs: what is kept, and what is refused with its own sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.identity.errors import NotAllowedError
from backend.rent import measures
from backend.rent.errors import (
    DatesReversedError,
    MeterExistsError,
    MeterUnknownError,
    PriceError,
    ReadingExistsError,
    ReadingFallsError,
    ReadingNegativeError,
    TariffChangedError,
    TariffOverlapError,
    UnitUnknownError,
)
from backend.rent.measures import NewMeter
from backend.rent.rules import TermKind
from backend.rent.service import Agreed, add_term, reassess
from backend.rent.settings import RentSettings
from backend.rent.tariffs import TariffFile, TariffVersion, TierVersion, load_tariffs, read_tariff_file
from estate.config import SettingsError

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.money.conftest import Home, Office

SAMPLES = Path("config/tariffs.toml")
YEAR, JULY = date(2026, 1, 1), date(2026, 7, 1)


def load(office: Office, *tariffs: TariffVersion, tiers: tuple[TierVersion, ...] = ()) -> int:
    with office.engine.begin() as connection:
        return load_tariffs(connection, TariffFile(tariff=tariffs, tier=tiers), office.now)


def price(centifen: int, from_on: date = YEAR, to_on: date | None = None) -> TariffVersion:
    return TariffVersion(
        plan_id="standard",
        kind="rent",
        from_on=from_on,
        to_on=to_on,
        price_centifen=centifen,
        name_zh="标准租金",
        source_zh="示例",
    )


def install(office: Office, home: Home, clerk: Principal, first: int = 0, serial: str = "W-1") -> None:
    new = NewMeter(home.unit_id, "water", "tap", serial, 1_000_000, first, date(2026, 9, 30))
    with office.engine.begin() as connection:
        measures.install_meter(connection, new, clerk, office.now)


def read(
    office: Office,
    clerk: Principal,
    on: date,
    hundredths: int,
    *,
    rolled_over: bool = False,
    corrects: bool = False,
    serial: str = "W-1",
) -> None:
    with office.engine.begin() as connection:
        measures.read_meter(
            connection,
            "water",
            serial,
            on,
            hundredths,
            clerk,
            office.now,
            rolled_over=rolled_over,
            corrects=corrects,
        )


def test_the_samples_load_once_and_name_their_sources(office: Office) -> None:
    file = read_tariff_file(SAMPLES)
    with office.engine.begin() as connection:
        assert load_tariffs(connection, file, office.now) == len(file.tariff) + len(file.tier)
        assert load_tariffs(connection, file, office.now) == 0
    assert all("示例" in one.source_zh for one in (*file.tariff, *file.tier))


def test_versions_follow_each_other_and_never_overlap(office: Office) -> None:
    assert load(office, price(60_000)) == 1
    with pytest.raises(TariffOverlapError):
        load(office, price(66_000, JULY))
    assert load(office, price(60_000, to_on=JULY), price(66_000, JULY)) == 2
    with pytest.raises(TariffOverlapError):
        load(office, price(60_000, to_on=date(2026, 8, 1)))
    with pytest.raises(TariffChangedError):
        load(office, price(1, to_on=JULY))
    with pytest.raises(DatesReversedError):
        load(office, price(1, JULY, YEAR))
    with pytest.raises(DBAPIError, match="another rent tariff"), office.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO tariff SELECT plan_id, kind, '2026-03-01', NULL, 1, name_zh, source_zh, NULL,"
                " now() FROM tariff LIMIT 1"
            )
        )


def test_tiers_never_overlap_either(office: Office) -> None:
    def tier(from_on: date, share: int | None = 300) -> TierVersion:
        return TierVersion(tier_id="low", from_on=from_on, share_permille=share, name_zh="x", source_zh="x")

    load(office, tiers=(tier(YEAR),))
    with pytest.raises(TariffOverlapError):
        load(office, tiers=(tier(JULY),))


@pytest.mark.parametrize("line", ["price_centifen = -1", "price_centifen = 1.5", 'price_centifen = "1"', ""])
def test_a_file_with_a_wrong_price_names_the_key(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tariffs.toml"
    path.write_text(
        '[[tariff]]\nplan_id = "a"\nkind = "rent"\nfrom_on = 2026-01-01\nname_zh = "a"\nsource_zh = "a"\n'
        + line
    )
    with pytest.raises(SettingsError, match="price_centifen"):
        read_tariff_file(path)


def test_a_month_by_area_tier_and_meter(office: Office, home: Home, clerk: Principal) -> None:
    with office.engine.begin() as connection:
        load_tariffs(connection, read_tariff_file(SAMPLES), office.now)
        measures.set_area(connection, home.unit_id, 5_000, YEAR, clerk, office.now)
        measures.set_area(
            connection, home.unit_id, 5_230, YEAR, clerk, office.now
        )  # measured wrongly at first
        for term in (
            Agreed(TermKind.RENT, YEAR, None, "按面积租金", plan_id="standard"),
            Agreed(TermKind.RELIEF, YEAR, None, "低收入减免", tier_id="low-income"),
            Agreed(TermKind.PROPERTY_FEE, YEAR, None, "物业费", plan_id="standard"),
        ):
            add_term(connection, home.tenancy_id, term, clerk, office.now)
    install(office, home, clerk, 10_000)
    read(office, clerk, date(2026, 10, 31), 11_250)
    office.charge()
    assert [(line.kind, line.amount_fen) for line in office.statement(home).unpaid[0].lines] == [
        ("rent", 33_995),
        ("relief", -23_797),
        ("property_fee", 4_707),
        ("water", 3_538),
    ]


def test_a_reading_that_came_late_is_charged_by_a_correction(
    office: Office, home: Home, clerk: Principal
) -> None:
    with office.engine.begin() as connection:
        load_tariffs(connection, read_tariff_file(SAMPLES), office.now)
    install(office, home, clerk)
    office.charge()
    read(office, clerk, date(2026, 10, 31), 1_000)
    read(office, clerk, date(2026, 10, 31), 900, corrects=True)
    with office.engine.begin() as connection:
        made = reassess(connection, home.tenancy_id, date(2026, 11, 1), clerk, office.now, RentSettings())
    assert [charge.amount_fen for charge in made] == [2_547]


def test_readings_never_fall_unless_the_meter_rolled_over(
    office: Office, home: Home, clerk: Principal
) -> None:
    install(office, home, clerk, 999_000)
    with pytest.raises(ReadingFallsError, match="过零"):
        read(office, clerk, date(2026, 10, 31), 500)
    read(office, clerk, date(2026, 10, 31), 500, rolled_over=True)
    read(office, clerk, date(2026, 10, 31), 500, rolled_over=True)
    with pytest.raises(ReadingExistsError):
        read(office, clerk, date(2026, 10, 31), 501, rolled_over=True)
    with pytest.raises(ReadingFallsError):
        read(office, clerk, date(2026, 10, 15), 998_000)
    read(office, clerk, date(2026, 11, 30), 700)
    with pytest.raises(ReadingFallsError):
        read(office, clerk, date(2026, 11, 15), 800)


def test_what_a_meter_cannot_show_is_refused(office: Office, home: Home, clerk: Principal) -> None:
    install(office, home, clerk)
    for hundredths in (-1, 1_000_000):
        with pytest.raises(ReadingNegativeError):
            read(office, clerk, date(2026, 10, 31), hundredths)
    with pytest.raises(MeterUnknownError):
        read(office, clerk, date(2026, 10, 31), 1, serial="W-9")
    with pytest.raises(MeterExistsError):
        install(office, home, clerk)


def test_a_replaced_meter_keeps_its_last_reading_and_the_new_one_begins(
    office: Office, home: Home, clerk: Principal
) -> None:
    with office.engine.begin() as connection:
        load_tariffs(connection, read_tariff_file(SAMPLES), office.now)
    install(office, home, clerk)

    def replace(last: int, on: date) -> None:
        with office.engine.begin() as connection:
            measures.replace_meter(connection, "water", "W-1", last, "W-2", 50, on, clerk, office.now)

    read(office, clerk, date(2026, 10, 5), 600)
    with pytest.raises(ReadingFallsError):
        replace(500, date(2026, 10, 10))
    with pytest.raises(DatesReversedError):
        replace(700, date(2026, 10, 1))
    replace(1_000, date(2026, 10, 10))
    with pytest.raises(MeterUnknownError):
        read(office, clerk, date(2026, 10, 31), 2_000)
    read(office, clerk, date(2026, 10, 31), 1_050, serial="W-2")
    office.charge()
    water = [line.amount_fen for line in office.statement(home).unpaid[0].lines if line.kind == "water"]
    assert water == [1_698, 1_132, 2_830]


def test_areas_are_of_units_and_above_zero(office: Office, home: Home, clerk: Principal) -> None:
    with office.engine.begin() as connection:
        for hundredths in (0, -1, 10_000_001):
            with pytest.raises(PriceError):
                measures.set_area(connection, home.unit_id, hundredths, YEAR, clerk, office.now)
        with pytest.raises(UnitUnknownError):
            measures.set_area(connection, uuid4(), 1, YEAR, clerk, office.now)
        with pytest.raises(NotAllowedError):
            measures.set_area(connection, home.unit_id, 1, YEAR, home.tenant, office.now)
