"""Messages over a real database and HTTP: written once, sent once, and proven to have arrived."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.messaging.errors import AddressError
from backend.messaging.http_messenger import HttpMessenger
from backend.messaging.port import Channel
from simulators.messages.core import Plan

if TYPE_CHECKING:
    from tests.integration.messages.conftest import Outbox


def test_a_message_is_handed_over_and_then_proven_to_have_arrived(outbox: Outbox) -> None:
    outbox.core.plan(Plan(delay_s=15))
    assert outbox.write() == 1
    assert outbox.work() == 1
    assert outbox.states() == [("sent", None)]
    assert outbox.work(10) == 1  # asked too early
    assert outbox.states() == [("sent", None)]
    outbox.work(20)
    assert outbox.states() == [("delivered", None)]
    assert outbox.work(3600) == 0


def test_the_same_reminder_is_written_once(outbox: Outbox) -> None:
    assert [outbox.write(), outbox.write(), outbox.write("k2")] == [1, 0, 1]


def test_a_person_is_reached_on_every_channel_and_nobody_without_an_address(outbox: Outbox) -> None:
    outbox.reach("open-id-1", Channel.WECHAT)
    assert outbox.write() == 2
    with outbox.engine.begin() as connection:
        connection.execute(text("DELETE FROM message_address"))
    assert outbox.write("k2") == 0


def test_a_message_whose_answer_was_lost_is_sent_once(outbox: Outbox) -> None:
    outbox.core.plan(Plan(lost=1))
    outbox.write()
    outbox.work()
    assert outbox.states() == [("waiting", "status 504")]
    outbox.work(10)
    outbox.work(10)
    assert outbox.states() == [("delivered", None)]
    assert len(outbox.core.all()) == 1


def test_a_worker_that_died_with_a_message_in_hand_leaves_it_to_the_next(outbox: Outbox) -> None:
    outbox.write()

    class Dies(HttpMessenger):
        def send(self, message: object) -> str:
            super().send(message)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    alive, outbox.messenger = outbox.messenger, Dies(outbox.messenger._base, "messenger-token")
    with pytest.raises(KeyboardInterrupt):
        outbox.work()
    outbox.messenger = alive
    assert outbox.work() == 0  # it is claimed for a minute
    outbox.work(61)
    outbox.work(10)
    assert outbox.states() == [("delivered", None)]
    assert len(outbox.core.all()) == 1


def test_two_workers_never_take_the_same_message(outbox: Outbox) -> None:
    for number in range(20):
        outbox.write(f"k{number}")
    start, seen = threading.Barrier(2), []

    def work() -> None:
        start.wait()
        seen.append(outbox.work())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(seen) == 20
    assert len(outbox.core.all()) == 20


@pytest.mark.parametrize(
    ("number", "found"),
    [("13800130000", ("refused", "no such number")), ("13800130001", ("failed", "switched off"))],
)
def test_a_number_that_cannot_be_reached_ends_with_the_reason(
    outbox: Outbox, number: str, found: tuple[str, str]
) -> None:
    outbox.reach(number)
    outbox.write()
    outbox.work()
    outbox.work(10)
    assert outbox.states() == [found]


def test_a_messenger_that_stays_away_is_given_up_after_three_days(outbox: Outbox) -> None:
    outbox.core.plan(Plan(away=1000))
    outbox.write()
    waits = 0
    while outbox.states()[0][0] == "waiting":
        outbox.work(3600)
        waits += 1
    assert outbox.states() == [("failed", "status 503")]
    assert 70 <= waits <= 73


def test_a_wrong_token_loses_no_message(outbox: Outbox) -> None:
    outbox.write()
    right, outbox.messenger = outbox.messenger, HttpMessenger(outbox.messenger._base, "other")
    outbox.work()
    assert outbox.states() == [("waiting", "status 401")]
    outbox.messenger = right
    outbox.work(60)
    outbox.work(60)
    assert outbox.states() == [("delivered", None)]


@pytest.mark.parametrize("typed", ["", "12345", "23800138000", "138001380000", "not a number", "1380013800a"])
def test_what_is_no_telephone_number_is_refused_without_repeating_it(outbox: Outbox, typed: str) -> None:
    with pytest.raises(AddressError) as told:
        outbox.reach(typed)
    assert not typed or typed not in str(told.value)


def test_blanks_and_the_country_are_no_part_of_a_number(outbox: Outbox) -> None:
    outbox.reach("+86 138-0013 8000")
    with outbox.engine.connect() as connection:
        assert connection.execute(text("SELECT address FROM message_address")).scalar_one() == "13800138000"


def test_what_was_written_and_how_it_ended_cannot_be_changed(outbox: Outbox) -> None:
    outbox.write()
    with pytest.raises(DBAPIError, match="permission denied"), outbox.engine.begin() as connection:
        connection.execute(text("UPDATE message SET text_zh = 'other'"))
    outbox.work()
    outbox.work(10)
    with pytest.raises(DBAPIError, match="come to its end"), outbox.engine.begin() as connection:
        connection.execute(text("UPDATE message SET reason = 'other'"))


def test_reports_see_neither_numbers_nor_texts(outbox: Outbox, database: object) -> None:
    with psycopg.connect(database.reader_url) as connection:  # type: ignore[attr-defined]
        assert connection.execute("SELECT count(state) FROM message").fetchone() == (0,)
        for column in ("address", "text_zh", "household_id"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {column} FROM message")
            connection.rollback()
