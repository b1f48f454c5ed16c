"""The registry's pure rules: days, ages, unit numbers, card references, sealed keys, scopes."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.identity.principal import ALL, Grant, Principal
from backend.identity.web import local_target
from backend.registry.keys import MasterKey, SealBrokenError, card_reference
from backend.registry.rules import birthday, is_adult, local_day, needs_guardian, start_of_day, unit_numbers
from estate.config import SettingsError

KEY = bytes(range(32))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))


def test_a_day_begins_at_midnight_in_jiangmen() -> None:
    assert start_of_day(date(2026, 1, 1)) == datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert local_day(datetime(2025, 12, 31, 16, tzinfo=UTC)) == date(2026, 1, 1)
    assert local_day(datetime(2025, 12, 31, 15, 59, tzinfo=UTC)) == date(2025, 12, 31)


@given(DAYS)
def test_the_first_moment_of_a_day_is_in_that_day(on: date) -> None:
    assert local_day(start_of_day(on)) == on
    assert local_day(start_of_day(on) - timedelta(microseconds=1)) == on - timedelta(days=1)


@pytest.mark.parametrize(
    ("born_on", "years", "expected"),
    [
        (date(2012, 5, 6), 14, date(2026, 5, 6)),
        (date(2012, 2, 29), 14, date(2026, 3, 1)),
        (date(2012, 2, 29), 16, date(2028, 2, 29)),
    ],
)
def test_somebody_reaches_an_age_on_the_birthday(born_on: date, years: int, expected: date) -> None:
    assert birthday(born_on, years) == expected


@given(DAYS)
def test_nobody_is_a_child_and_a_guardian_at_once(born_on: date) -> None:
    fourteen, eighteen = birthday(born_on, 14), birthday(born_on, 18)
    day = timedelta(days=1)
    assert [needs_guardian(born_on, on) for on in (fourteen - day, fourteen)] == [True, False]
    assert [is_adult(born_on, on) for on in (eighteen - day, eighteen)] == [False, True]


def test_units_are_numbered_by_floor_and_place() -> None:
    assert [number for _, number in unit_numbers(2, 2)] == ["0101", "0102", "0201", "0202"]
    assert unit_numbers(32, 12)[-1] == (32, "3212")


def test_a_card_reference_is_an_hmac_of_the_number() -> None:
    expected = hmac.new(KEY, b"card:" + "C-卡".encode(), hashlib.sha256).hexdigest()
    assert card_reference(KEY, "C-卡") == expected


@given(st.binary(min_size=32, max_size=32), st.text("abc-", min_size=1, max_size=9))
def test_a_sealed_key_opens_for_its_estate_only(key: bytes, estate_id: str) -> None:
    master = MasterKey(KEY)
    sealed = master.seal(estate_id, key)
    assert key not in sealed
    assert master.open(estate_id, sealed) == key
    with pytest.raises(SealBrokenError):
        master.open(estate_id + "x", sealed)
    with pytest.raises(SealBrokenError):
        MasterKey(bytes(32)).open(estate_id, sealed)


@given(st.integers(0, 60))
def test_a_changed_seal_does_not_open(place: int) -> None:
    sealed = bytearray(MasterKey(KEY).seal("east", KEY))
    sealed[place % len(sealed)] ^= 1
    with pytest.raises(SealBrokenError):
        MasterKey(KEY).open("east", bytes(sealed))


@pytest.mark.parametrize("content", ["", "short", "A" * 43, "A" * 44, "#" * 44, "卡"])
def test_a_master_key_of_another_shape_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match="master_key_file"):
        MasterKey.from_file(file)


def principal(*grants: Grant) -> Principal:
    return Principal(UUID(int=1), "x", "X", None, grants)


def test_a_grant_counts_from_its_first_to_before_its_last_moment() -> None:
    hour = timedelta(hours=1)
    grant = Grant("finance", "east", NOW, NOW + hour)
    moments = (NOW - hour, NOW, NOW + hour / 2, NOW + hour)
    assert [grant.live(moment) for moment in moments] == [False, True, True, False]
    assert Grant("finance", "east", NOW, None).live(NOW + 99999 * hour)


def test_a_scope_is_what_the_grants_say_and_no_more() -> None:
    both = principal(Grant("finance", "east", NOW, None), Grant("operator", None, NOW, None))
    assert both.estates("finance") == frozenset({"east"})
    assert both.estates("operator") is ALL
    assert both.estates("admin") == frozenset()
    assert [both.may("finance", estate) for estate in ("east", "west")] == [True, False]
    assert both.may("operator", "anywhere")
    assert not both.holds("supervisor")
    assert "anywhere" in ALL
    assert None not in ALL


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/my/rent?x=1", "/my/rent?x=1"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("my/rent", "/"),
        ("/\n/evil.example", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_after_the_login_one_stays_on_this_site(target: str | None, expected: str) -> None:
    assert local_target(target, "/") == expected
