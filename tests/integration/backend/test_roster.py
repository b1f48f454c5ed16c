"""The roster feed: complete, in the order of commits, and never older than a right that ended."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from backend.identity.errors import NotAllowedError
from backend.registry.errors import CardTakenError, UnknownThingError
from backend.registry.estates import estate_key
from backend.registry.rights import end_card, end_right, end_rights, grant_right, issue_card, set_card_blocked
from backend.registry.roster import FeedItem, feed, forget_removals
from estate.processes import wait_until
from tests.integration.backend.conftest import NOW, Town, household, member

LATER = NOW + timedelta(days=1)
WITHIN_S = 30


def items(town: Town, estate: str = "east", since: int = 0, limit: int = 5000) -> list[FeedItem]:
    with town.engine.connect() as connection:
        return feed(connection, estate, since, limit).items


def person(town: Town, person_id: UUID, estate: str = "east") -> Any:
    """What the gateway would hold of a person now."""
    found = [one for one in items(town, estate) if one.item_id == str(person_id)]
    assert len(found) == 1
    return json.loads(found[0].document) if found[0].document is not None else None


def in_threads(*works: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
        assert not thread.is_alive()
    assert failures == []


def test_a_registered_household_reaches_the_feed_without_a_name(town: Town) -> None:
    person_id = town.resident()
    assert person(town, person_id) == {
        "rights": [
            {"group": "a", "from": "2025-12-31T16:00:00Z", "to": None},
            {"group": "gate", "from": "2025-12-31T16:00:00Z", "to": None},
        ],
        "cards": [{"hmac": town.value("SELECT hmac FROM card"), "blocked": False}],
        "face_consent": True,
    }
    assert "某chen" not in "".join(one.document or "" for one in items(town))


def test_the_feed_holds_the_estate_and_its_doors(town: Town) -> None:
    documents = {(one.kind, one.item_id): json.loads(one.document or "null") for one in items(town)}
    assert documents[("estate", "east")]["fpir"] == 0.003
    assert documents[("door", "east-a")] == {
        "name_zh": "A栋大门",
        "name_en": "Entrance A",
        "group": "a",
        "building": "a",
        "credentials": ["face", "card"],
        "way": "in",
        "protocol": "native",
        "active": True,
    }
    assert set(documents) == {("estate", "east"), ("door", "east-a"), ("door", "east-gate")}


def test_pages_follow_each_other_without_gap(town: Town) -> None:
    for number, unit in enumerate(["0101", "0102", "0201"]):
        town.resident(f"p{number}", unit=unit)
    whole = items(town)
    paged: list[FeedItem] = []
    since, more = 0, True
    while more:
        with town.engine.connect() as connection:
            page = feed(connection, "east", since, 2)
        paged += page.items
        since, more = page.version, page.more
    assert paged == whole
    assert [one.version for one in whole] == sorted({one.version for one in whole})
    assert items(town, since=since) == []


def test_a_cursor_from_the_future_gets_everything_again(town: Town) -> None:
    town.resident()
    assert items(town, since=10**6) == items(town)


def test_a_right_that_ended_is_in_the_feed_as_ended(town: Town) -> None:
    person_id = town.resident()
    right_id = town.value("SELECT right_id FROM door_right WHERE group_id = 'a'")
    town.change(lambda c: end_right(c, right_id, actor=town.admin, reason="handed over", now=LATER))
    ends = {right["group"]: right["to"] for right in person(town, person_id)["rights"]}
    assert ends == {"a": "2026-06-02T04:00:00Z", "gate": None}


def test_a_person_without_rights_is_removed_after_a_month(town: Town) -> None:
    without_face = member("chen", face_consent={"given": False})
    person_id = town.run_import(household("h", "east", "0101", without_face)).ids["chen"]

    def end(now: datetime) -> object:
        return town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="", now=now))

    assert end(NOW) == 2
    assert len(person(town, person_id)["rights"]) == 2
    assert end(NOW + timedelta(days=31)) == 0
    assert person(town, person_id) is None


def test_publishing_the_same_again_makes_no_version(town: Town) -> None:
    person_id = town.resident()
    before = items(town)
    town.change(lambda c: end_rights(c, person_id, "west", actor=town.admin, reason="none", now=NOW))
    assert items(town) == before


def test_a_right_may_reach_another_estate(town: Town) -> None:
    person_id = town.resident()
    town.change(
        lambda c: grant_right(
            c, person_id, "west", "gate", starts_at=NOW, ends_at=LATER, actor=town.admin, now=NOW
        )
    )
    assert person(town, person_id, "west")["rights"] == [
        {"group": "gate", "from": "2026-06-01T04:00:00Z", "to": "2026-06-02T04:00:00Z"}
    ]
    assert person(town, person_id, "west")["cards"] == []


def test_cards_are_issued_blocked_and_taken_back(town: Town) -> None:
    person_id, other = town.resident(), town.resident("li", unit="0102")

    def issue(holder: UUID) -> UUID:
        def act(connection: Any) -> UUID:
            key = estate_key(connection, town.master_key, "east")
            return issue_card(connection, holder, "east", "N-77", key, actor=town.admin, now=NOW)

        return town.change(act)  # type: ignore[no-any-return]

    card_id = issue(person_id)
    with pytest.raises(CardTakenError):
        issue(other)
    town.change(lambda c: set_card_blocked(c, card_id, True, actor=town.admin, reason="lost", now=NOW))
    assert sorted(card["blocked"] for card in person(town, person_id)["cards"]) == [False, True]
    town.change(lambda c: end_card(c, card_id, actor=town.admin, reason="returned", now=NOW))
    assert len(person(town, person_id)["cards"]) == 1
    issue(other)
    assert len(person(town, other)["cards"]) == 2
    with pytest.raises(UnknownThingError):
        town.change(lambda c: end_card(c, card_id, actor=town.admin, reason="again", now=NOW))


def test_a_clerk_of_another_estate_changes_nothing(town: Town) -> None:
    town.resident("far", "west")
    right_id = town.value("SELECT right_id FROM door_right LIMIT 1")
    before = items(town, "west")
    with pytest.raises(NotAllowedError):
        town.change(lambda c: end_right(c, right_id, actor=town.clerk_of_east, reason="", now=NOW))
    assert items(town, "west") == before


def test_concurrent_writers_leave_no_gap_behind_a_reader(town: Town) -> None:
    """A reader that follows the feed while eight writers publish ends with exactly what is published."""
    people = [
        town.resident(f"{estate}{unit}", estate, unit)
        for estate in ("east", "west")
        for unit in ("0101", "0102", "0201", "0202")
    ]
    seen: dict[str, dict[str, str | None]] = {"east": {}, "west": {}}
    order: dict[str, list[int]] = {"east": [], "west": []}
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for step in range(12):
            # Two people at a time, in any order and any estate: locks must not deadlock.
            for person_id in chance.sample(people, 2):
                estate = chance.choice(["east", "west"])
                group = chance.choice(["gate", "a"])
                now = NOW + timedelta(seconds=seed * 100 + step)
                with town.engine.begin() as connection:
                    grant_right(
                        connection,
                        person_id,
                        estate,
                        group,
                        starts_at=now,
                        ends_at=None,
                        actor=town.admin,
                        now=now,
                    )

    def read(estate: str) -> None:
        since, last = 0, False
        while True:
            with town.engine.connect() as connection:
                page = feed(connection, estate, since, 3)
            for one in page.items:
                seen[estate][one.item_id] = one.document
                order[estate].append(one.version)
            since = page.version
            if not page.items:
                if last:
                    return
                last = done.is_set()

    def write_all() -> None:
        try:
            in_threads(*(partial(write, seed) for seed in range(8)))
        finally:
            done.set()

    in_threads(write_all, lambda: read("east"), lambda: read("west"))
    for estate in ("east", "west"):
        assert order[estate] == sorted(set(order[estate]))
        assert seen[estate] == {one.item_id: one.document for one in items(town, estate)}


def test_an_ended_right_never_comes_back_by_a_change_that_began_before(town: Town) -> None:
    """Two transactions change one person at the same time; the later one publishes the earlier's end."""
    person_id = town.resident()
    right_id = town.value("SELECT right_id FROM door_right WHERE group_id = 'a'")
    ended, other_waits = threading.Event(), threading.Event()

    def end() -> None:
        with town.engine.begin() as connection:
            end_right(connection, right_id, actor=town.admin, reason="court", now=LATER)
            ended.set()
            # The other one has made its change and now waits for our lock.
            assert other_waits.wait(WITHIN_S)
            wait_for_lock(town)

    def add() -> None:
        with town.engine.begin() as connection:
            assert ended.wait(WITHIN_S)
            other_waits.set()
            grant_right(
                connection,
                person_id,
                "east",
                "gate",
                starts_at=LATER,
                ends_at=None,
                actor=town.admin,
                now=LATER,
            )

    in_threads(end, add)
    rights = person(town, person_id)["rights"]
    assert len(rights) == 3
    assert [right["to"] for right in rights if right["group"] == "a"] == ["2026-06-02T04:00:00Z"]


def wait_for_lock(town: Town) -> None:
    """Return when some other transaction waits for a lock of ours."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    wait_until(lambda: town.value(waiting) > 0, WITHIN_S, "nobody waits for the roster's lock")


def test_a_rolled_back_change_is_neither_published_nor_counted(town: Town) -> None:
    person_id = town.resident()
    before = items(town)

    def fail(connection: Any) -> None:
        end_rights(connection, person_id, "east", actor=town.admin, reason="", now=LATER)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        town.change(fail)
    assert items(town) == before
    assert town.value("SELECT version FROM roster_version WHERE estate_id = 'east'") == before[-1].version


def test_a_large_import_is_one_page_of_the_feed(town: Town) -> None:
    many = [
        member(f"m{number}", kind="tenant", cards=[f"c{number}"], face_consent={"given": False})
        for number in range(2000)
    ]
    town.run_import(household("big", "east", "0101", *many))
    with town.engine.connect() as connection:
        page = feed(connection, "east", 0, 5000)
    assert len(page.items) == 2003
    assert not page.more


def test_a_cursor_that_missed_forgotten_removals_starts_anew(town: Town) -> None:
    person_id = town.run_import(
        household("h", "east", "0101", member("p", face_consent={"given": False}))
    ).ids["p"]
    since = items(town)[-1].version
    for days in (0, 31):
        now = NOW + timedelta(days=days)
        town.change(lambda c, now=now: end_rights(c, person_id, "east", actor=town.admin, reason="", now=now))
    assert person(town, person_id) is None
    # The database's own clock says when a removal was told.
    before = town.value("SELECT now() - interval '1 hour'")
    assert town.change(lambda c: forget_removals(c, before)) == 0
    after = town.value("SELECT now() + interval '1 hour'")
    assert town.change(lambda c: forget_removals(c, after)) == 1
    with town.engine.connect() as connection:
        page = feed(connection, "east", since, 5000)
        again = feed(connection, "east", 0, 5000)
    assert (page.version, page.more, page.items) == (0, True, [])
    assert str(person_id) not in {one.item_id for one in again.items}
