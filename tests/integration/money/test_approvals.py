"""Two people: what the service refuses with a sentence, PostgreSQL refuses to raw SQL as well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as refusals
from sqlalchemy import Engine, text

from backend.approvals import errors
from backend.approvals.rights import read_rights, store_rights
from backend.approvals.service import (
    Proposal,
    about,
    approve,
    change,
    decline,
    get,
    may_decide,
    proposals_for,
    propose,
    use,
    withdraw,
)
from backend.db.engine import connect
from backend.identity.principal import Principal
from estate.config import SettingsError
from tests.integration.money.conftest import NOW, make_principal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Database

ESTATE, OTHER = "pengjiang-1", "jianghai-1"
LATER = NOW + timedelta(hours=1)


class People(NamedTuple):
    """Who takes part."""

    clerk: Principal
    chief: Principal
    elsewhere: Principal
    guard: Principal
    city: Principal


@pytest.fixture
def people(engine: Engine, estates: tuple[str, ...]) -> People:
    with engine.begin() as connection:
        return People(
            make_principal(connection, "clerk", "finance", ESTATE),
            make_principal(connection, "chief", "finance", ESTATE),
            make_principal(connection, "elsewhere", "finance", estates[1]),
            make_principal(connection, "guard", "operator", ESTATE),
            make_principal(connection, "city", "finance", None),
        )


@pytest.fixture
def ask(engine: Engine, people: People) -> Callable[..., Proposal]:
    def asked(
        kind: str = "write_off", estate: str | None = ESTATE, who: Principal = people.clerk
    ) -> Proposal:
        with engine.begin() as connection:
            return propose(connection, kind, estate, "charge:1", "核销", {"fen": 5}, "无法收回", who, NOW)

    return asked


def test_what_one_proposes_another_approves_and_it_is_used_once(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    assert (asked.state, asked.payload, asked.kind_zh) == ("open", {"fen": 5}, "坏账核销")
    with engine.begin() as connection:
        agreed = approve(connection, asked.proposal_id, people.chief, LATER, note="同意")
        assert (agreed.state, agreed.decided_by) == ("approved", people.chief.principal_id)
        assert use(connection, asked.proposal_id, "write_off", LATER).payload == {"fen": 5}
        assert about(connection, "charge:1")[0].state == "used"
        with pytest.raises(errors.ApprovalUsedError):
            use(connection, asked.proposal_id, "write_off", LATER)


def test_an_act_that_fails_leaves_its_approval_unused(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, people.chief, LATER)
    with engine.connect() as connection:
        use(connection, asked.proposal_id, "write_off", LATER)
        connection.rollback()
        assert get(connection, asked.proposal_id).state == "approved"


def test_nobody_approves_what_they_proposed(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        assert not may_decide(connection, asked, people.clerk)
        with pytest.raises(errors.SecondPersonNeededError):
            approve(connection, asked.proposal_id, people.clerk, LATER)


def test_a_second_login_of_the_same_person_is_no_second_person(
    engine: Engine, database: Database, people: People, ask: Callable[..., Proposal]
) -> None:
    person_id = uuid4()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO person (person_id, estate_id, ref, name, born_on, created_at)"
                " VALUES (:id, :estate, 'p', '示例', '1980-01-01', :now)"
            ),
            {"id": person_id, "estate": ESTATE, "now": NOW},
        )
        one, two = (
            make_principal(connection, login, "finance", ESTATE, person_id) for login in ("one", "two")
        )
    asked = ask(who=one)
    with engine.begin() as connection, pytest.raises(errors.SecondPersonNeededError):
        approve(connection, asked.proposal_id, two, LATER)
    refused_in_sql = pytest.raises(refusals.InsufficientPrivilege, match="second person")
    with connect(database.app_url) as raw, refused_in_sql:
        raw.execute(DECIDE, decision(asked, two.principal_id, LATER))


@pytest.mark.parametrize("who", ["elsewhere", "guard"])
def test_nobody_approves_without_the_right_for_that_estate(
    engine: Engine, people: People, ask: Callable[..., Proposal], who: str
) -> None:
    asked = ask()
    with engine.begin() as connection, pytest.raises(errors.NoRightError):
        approve(connection, asked.proposal_id, getattr(people, who), LATER)


def test_what_is_the_citys_needs_a_right_for_all_estates(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    with pytest.raises(errors.NoRightError):
        ask(estate=None)
    asked = ask(estate=None, who=people.city)
    with engine.begin() as connection, pytest.raises(errors.NoRightError):
        approve(connection, asked.proposal_id, people.chief, LATER)


def test_nobody_proposes_what_is_not_theirs_to_propose(people: People, ask: Callable[..., Proposal]) -> None:
    with pytest.raises(errors.NoRightError):
        ask(who=people.guard)
    with pytest.raises(errors.KindUnknownError):
        ask(kind="holiday")


def test_a_changed_proposal_has_to_be_read_again(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        changed = change(connection, asked.proposal_id, "核销", {"fen": 5_000_000}, "改", people.clerk, LATER)
        with pytest.raises(errors.ProposalChangedError):
            approve(connection, asked.proposal_id, people.chief, LATER, revision=asked.revision)
        with pytest.raises(errors.ProposalChangedError):
            approve(connection, asked.proposal_id, people.chief, NOW)
        agreed = approve(connection, asked.proposal_id, people.chief, LATER, revision=changed.revision)
        assert agreed.payload == {"fen": 5_000_000}
        with pytest.raises(errors.ProposalClosedError):
            change(connection, asked.proposal_id, "核销", {"fen": 6}, "再改", people.clerk, LATER)


def test_only_the_proposer_changes_or_withdraws(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        for who in (people.chief, people.city):
            with pytest.raises(errors.NotProposerError):
                withdraw(connection, asked.proposal_id, who, LATER)
        assert withdraw(connection, asked.proposal_id, people.clerk, LATER).state == "withdrawn"
        with pytest.raises(errors.ProposalClosedError):
            approve(connection, asked.proposal_id, people.chief, LATER)


def test_a_declined_proposal_has_a_reason_and_is_never_used(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        with pytest.raises(errors.ReasonMissingError):
            decline(connection, asked.proposal_id, people.chief, LATER, "  ")
        assert decline(connection, asked.proposal_id, people.chief, LATER, "材料不全").state == "declined"
        with pytest.raises(errors.ApprovalMissingError):
            use(connection, asked.proposal_id, "write_off", LATER)


def test_an_approval_of_one_kind_is_none_of_another(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, people.chief, LATER)
        with pytest.raises(errors.ApprovalMissingError):
            use(connection, asked.proposal_id, "refund", LATER)


def test_each_sees_what_is_theirs_to_decide_or_their_own(
    engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    mine, theirs = ask(), ask(estate=OTHER, who=people.elsewhere)
    with engine.connect() as connection:
        assert [one.proposal_id for one in proposals_for(connection, people.chief)] == [mine.proposal_id]
        both = {one.proposal_id for one in proposals_for(connection, people.city)}
        assert both == {mine.proposal_id, theirs.proposal_id}
        assert proposals_for(connection, people.guard) == []


# What follows is raw SQL, as the application's role and as the owner.

DECIDE = (
    "INSERT INTO approval_decision (proposal_id, revision, verdict, decided_by, decided_at, reason)"
    " VALUES (%s, %s, 'approved', %s, %s, '')"
)


def decision(asked: Proposal, who: UUID, at: datetime, revision: int = 1) -> tuple[object, ...]:
    return (asked.proposal_id, revision, who, at)


@pytest.fixture(params=["app", "owner"])
def raw(request: pytest.FixtureRequest, database: Database) -> Callable[..., None]:
    url = getattr(database, f"{request.param}_url")

    def run(sql: str, *values: object) -> None:
        with connect(url) as connection:
            connection.execute(sql, values)

    return run


def refused(constraint: str, act: Callable[[], None]) -> None:
    with pytest.raises(psycopg.Error) as caught:
        act()
    assert caught.value.diag.constraint_name == constraint, caught.value


def test_raw_sql_does_not_approve_without_a_second_person_with_the_right(
    raw: Callable[..., None], people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    before = NOW - timedelta(days=1)
    for who, at, constraint in (
        (people.clerk, LATER, "approval_is_by_another_person"),
        (people.guard, LATER, "approval_decider_has_right"),
        (people.elsewhere, LATER, "approval_decider_has_right"),
        (people.chief, before, "approval_is_of_the_last_text"),
    ):
        refused(constraint, lambda who=who, at=at: raw(DECIDE, *decision(asked, who.principal_id, at)))  # type: ignore[misc]


def test_raw_sql_does_not_approve_with_a_right_that_ended(
    raw: Callable[..., None], engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE principal_role SET valid_to = :at WHERE principal_id = :who"),
            {"at": LATER, "who": people.chief.principal_id},
        )
    act = decision(asked, people.chief.principal_id, LATER)
    refused("approval_decider_has_right", lambda: raw(DECIDE, *act))


def test_raw_sql_does_not_approve_what_was_changed_since(
    raw: Callable[..., None], engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        change(connection, asked.proposal_id, "核销", {"fen": 9}, "改", people.clerk, LATER)
    for at, revision in ((NOW, 2), (LATER, 1)):
        act = decision(asked, people.chief.principal_id, at, revision)
        refused("approval_is_of_the_last_text", lambda act=act: raw(DECIDE, *act))  # type: ignore[misc]


def test_raw_sql_neither_edits_nor_removes_nor_uses_again_what_was_approved(
    raw: Callable[..., None], engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, people.chief, LATER)
    edit = "UPDATE approval_proposal SET payload = '{}', revision = 2, changed_at = %s WHERE proposal_id = %s"
    refused("approval_is_closed", lambda: raw(edit, LATER, asked.proposal_id))
    mark = "INSERT INTO approval_use (proposal_id, kind, used_at) VALUES (%s, %s, %s)"
    refused("approval_is_given", lambda: raw(mark, asked.proposal_id, "refund", LATER))
    refused("approval_is_given", lambda: raw(mark, asked.proposal_id, "write_off", NOW))
    raw(mark, asked.proposal_id, "write_off", LATER)
    refused("approval_use_pkey", lambda: raw(mark, asked.proposal_id, "write_off", LATER))


def test_raw_sql_does_not_quietly_change_a_proposal(
    raw: Callable[..., None], ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    edit = "UPDATE approval_proposal SET payload = '{\"fen\": 6}' WHERE proposal_id = %s"
    refused("approval_counts_its_changes", lambda: raw(edit, asked.proposal_id))


def test_the_owner_takes_no_approval_off_the_record(
    database: Database, engine: Engine, people: People, ask: Callable[..., Proposal]
) -> None:
    asked = ask()
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, people.chief, LATER)
        use(connection, asked.proposal_id, "write_off", LATER)
    for table in ("approval_use", "approval_decision", "approval_proposal"):
        with connect(database.owner_url) as owner:
            with pytest.raises(refusals.RestrictViolation):
                owner.execute(f"DELETE FROM {table}")
            owner.rollback()
            with pytest.raises(refusals.RestrictViolation):
                owner.execute(f"TRUNCATE {table} CASCADE")


def test_rights_are_a_file_that_only_the_owner_brings_in(
    database: Database, engine: Engine, people: People, ask: Callable[..., Proposal], tmp_path: Path
) -> None:
    path = tmp_path / "rights.toml"
    row = '[[kind]]\nkind = "{}"\nname_zh = "甲"\nname_en = "a"\npropose = ["operator"]\napprove = ["{}"]\n'
    path.write_text(row.format("write_off", "operator"), "utf-8")
    with connect(database.owner_url) as owner:
        store_rights(owner, read_rights(path))
    with pytest.raises(errors.NoRightError):
        ask(who=people.clerk)
    assert ask(who=people.guard).kind_zh == "甲"
    with connect(database.app_url) as app, pytest.raises(refusals.InsufficientPrivilege):
        store_rights(app, read_rights())
    for wrong in (row.format("a", "tenant"), row.format("a", "admin") * 2, row.format("a", "king")):
        path.write_text(wrong, "utf-8")
        with pytest.raises(SettingsError):
            read_rights(path)
