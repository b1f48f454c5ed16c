"""A small town with people who use the pages: two estates, their doors, tenants and staff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import requests
from flask import Flask
from sqlalchemy import Connection, Engine, insert, select, text, update

from backend.access.service import store_records, store_states
from backend.access.wire import AccessRecord, DeviceStatus
from backend.app import create_app
from backend.identity.accounts import add_principal, grant_role, principal_by_login
from backend.identity.passwords import hash_password
from backend.identity.principal import Role
from backend.identity.service import digest
from backend.identity.tables import audit_record, login_session, principal
from backend.ledger.books import open_books
from backend.ledger.service import reverse
from backend.payments.providers import current_providers
from backend.payments.service import CheckoutState, settle_pending
from backend.payments.tables import checkout
from backend.registry import tables as registry
from backend.registry.estates import load_estates
from backend.registry.estates_file import check_estates
from backend.rent.rules import TermKind
from backend.rent.service import Agreed, NewPayment, add_term, read_month, run_month, take_payment
from backend.services import Services
from backend.settings import BackendSettings, PaymentSettings
from backend.web import words
from estate.processes import free_port, wait_until
from simulators.stripe.core import StripeCore
from simulators.stripe.faults import Fault
from simulators.stripe.http import StripeServer, listen
from simulators.stripe.settings import AccountSettings
from tests.wsgi import served

PASSWORD = "correct horse 电池"
NORTH, SOUTH = "north", "south"
SINCE = date(2026, 1, 1)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


def _estate(estate_id: str, name_zh: str) -> dict[str, Any]:
    return {
        "id": estate_id,
        "name_zh": name_zh,
        "name_en": f"{estate_id} estate",
        "district": "蓬江区",
        "building": [{"id": "a", "name_zh": "A栋", "floors": 6, "units_per_floor": 4}],
        "door": [
            {
                "id": f"{estate_id}-gate",
                "name_zh": "小区大门",
                "name_en": "Estate gate",
                "group": "gate",
                "credentials": ["face", "card"],
            },
            {
                "id": f"{estate_id}-a",
                "name_zh": "A栋大门",
                "name_en": "Building A entrance",
                "building": "a",
                "credentials": ["face", "card"],
            },
        ],
    }


ESTATES = {"estate": [_estate(NORTH, "北苑（示例）"), _estate(SOUTH, "南苑（示例）")]}


@dataclass(frozen=True)
class Home:
    """A household in its unit and the person who logs in for it."""

    estate_id: str
    household_id: UUID
    tenancy_id: UUID
    person_id: UUID
    principal_id: UUID


class Town:
    """The served application, the payment channel, and what tests do to their world."""

    def __init__(self, app: Flask, url: str, channel: StripeServer, channel_key: str) -> None:
        self.app, self.url, self.channel, self._channel_key = app, url, channel, channel_key
        self.services: Services = app.extensions["estate"]
        self.engine: Engine = self.services.engine
        self.homes: dict[str, Home] = {}

    def settle_in(self) -> None:
        """Build the estates, open the books, and let people move in."""
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            load_estates(
                connection,
                check_estates(ESTATES, "test"),
                self.services.master_key,
                actor="system:test",
                now=now,
            )
            open_books(connection, now)
            self.homes["chen"] = move_in(connection, NORTH, "0101", "chen", "陈桂芳", 78_050)
            self.homes["li"] = move_in(connection, SOUTH, "0102", "li", "李建国", 52_000)
            hire(connection, "zhang", "张会计", [("finance", NORTH)])
            hire(connection, "auditor", "周督导", [("supervisor", None)])
            hire(connection, "guard", "王保安", [("operator", NORTH)])
            hire(connection, "both", "吴主管", [("finance", None), ("operator", None)])
            hire(connection, "admin", "何管理", [("admin", None)])
            hire(connection, "nobody", "无事可办", [])

    def session_of(self, login: str) -> str:
        """The token of a session that somebody began a minute ago; saves the password's second."""
        now, token = datetime.now(UTC), uuid4().hex
        with self.engine.begin() as connection:
            who = principal_by_login(connection, login, now)
            connection.execute(
                insert(login_session).values(
                    token_sha256=digest(token),
                    principal_id=who.principal_id,
                    created_at=now - timedelta(minutes=1),
                    seen_at=now,
                )
            )
        return token

    def doors_report(self, states: Sequence[DeviceStatus]) -> None:
        """What a gateway would tell about its doors."""
        with self.engine.begin() as connection:
            store_states(connection, states, "gw", datetime.now(UTC))

    def passages(self, records: Sequence[AccessRecord]) -> None:
        """What a gateway would forward."""
        with self.engine.begin() as connection:
            store_records(connection, records, "gw", datetime.now(UTC))

    def charge(self, month: str) -> None:
        """The monthly run for every estate, `month` like 2026-11."""
        run_month(self.engine, None, read_month(month), None, datetime.now(UTC))

    def agree(self, login: str, kind: TermKind, label_zh: str, **terms: Any) -> None:
        """Give a household's tenancy a term from January on: `monthly_fen`, or `share_permille`."""
        now = datetime.now(UTC)
        values = {"to_on": None, "monthly_fen": None, "share_permille": None} | terms
        term = Agreed(kind=kind, from_on=SINCE, label_zh=label_zh, **values)
        with self.engine.begin() as connection:
            clerk = principal_by_login(connection, "both", now)
            add_term(connection, self.homes[login].tenancy_id, term, clerk, now)

    def hire(self, login: str, name: str, roles: Sequence[tuple[Role, str | None]]) -> None:
        """One more person who logs in."""
        with self.engine.begin() as connection:
            hire(connection, login, name, roles)

    def pay_online(self, login: str, amount_fen: int) -> None:
        """A payment that arrived, without the way there."""
        now, home = datetime.now(UTC), self.homes[login]
        given = NewPayment(
            home.estate_id, home.household_id, "stripe", f"pi_{uuid4().hex}", "wechat_pay", amount_fen, now
        )
        with self.engine.begin() as connection:
            take_payment(connection, given, actor="test", now=now)

    def reverse_first_entry(self, reason: str) -> None:
        """Take the first entry of the books back."""
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            reverse(
                connection, 1, reason=reason, effective_on=words.today(now), now=now, actor="test",
                principal_id=None,
            )  # fmt: skip

    def rename_door(self, device_id: str, name: str) -> None:
        """A door with another name."""
        with self.engine.begin() as connection:
            door = registry.door
            connection.execute(update(door).where(door.c.device_id == device_id).values(name_zh=name))

    def rename_estate(self, estate_id: str, name: str) -> None:
        """An estate with another name."""
        with self.engine.begin() as connection:
            mine = registry.estate.c.estate_id == estate_id
            connection.execute(update(registry.estate).where(mine).values(name_zh=name))

    def rename_login(self, login: str, name: str) -> None:
        """Somebody who logs in under another display name."""
        with self.engine.begin() as connection:
            connection.execute(update(principal).where(principal.c.login == login).values(display_name=name))

    def rename_person(self, login: str, name: str) -> None:
        """A person with another name."""
        with self.engine.begin() as connection:
            mine = registry.person.c.person_id == self.homes[login].person_id
            connection.execute(update(registry.person).where(mine).values(name=name))

    def expire(self, session_id: str) -> None:
        """Let the channel close a payment page that nobody paid on."""
        header = {"Authorization": f"Bearer {self._channel_key}"}
        answer = self.channel.core.handle("POST", f"/v1/checkout/sessions/{session_id}/expire", b"", header)
        assert answer.status == 200, answer.body

    def forget_checkout_origins(self) -> None:
        """Configure no origin that a form may lead to."""
        known = self.services.settings
        payments = msgspec.structs.replace(known.payments, checkout_origins=())
        changed = msgspec.structs.replace(known, payments=payments)
        self.app.extensions["estate"] = replace(self.services, settings=changed)

    def pay_all_at_channel(self) -> None:
        """Pay every open page of the channel, as its payer would."""
        with self.engine.connect() as connection:
            open_ones = connection.execute(
                select(checkout.c.url).where(checkout.c.state == CheckoutState.OPEN.value)
            ).scalars()
            for url in open_ones:
                paid = requests.post(
                    str(url), {"kind": "wechat_pay", "action": "pay"}, allow_redirects=False, timeout=20
                )
                assert paid.status_code == 303, paid.text

    def channel_fails(self, times: int) -> None:
        """The channel breaks the connection that often."""
        self.channel.core.faults.add(Fault("request_lost", "POST", "/v1/checkout/sessions", times))

    def settle(self) -> None:
        """Do the worker's part until all that the channel has to tell has come and is settled."""

        def all_settled() -> bool:
            sent = not self.channel.core.notices_waiting()
            with self.app.app_context():
                settle_pending(self.engine, current_providers().get("stripe"), datetime.now(UTC))
            return sent and not self.count("provider_notice WHERE state = 'waiting'")

        wait_until(all_settled, 40, "the channel's notices were not settled")

    def audit_rows(self, action: str) -> list[Any]:
        """The audit log's rows of one action, oldest first."""
        with self.engine.connect() as connection:
            query = select(audit_record).where(audit_record.c.action == action)
            return list(connection.execute(query.order_by(audit_record.c.audit_id)))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def hire(
    connection: Connection,
    login: str,
    name: str,
    roles: Sequence[tuple[Role, str | None]],
    person_id: UUID | None = None,
) -> UUID:
    """A login with its roles."""
    now = datetime.now(UTC)
    principal_id = add_principal(
        connection, login, name, None, actor="system:test", now=now, person_id=person_id
    )
    connection.execute(
        update(principal).where(principal.c.principal_id == principal_id).values(password_hash=_hashed())
    )
    for role, estate_id in roles:
        grant_role(connection, principal_id, role, estate_id, actor="system:test", now=now)
    return principal_id


@cache
def _hashed() -> str:
    # Everybody in town has the same password: hashing it once saves a second in every test.
    return hash_password(PASSWORD)


def move_in(
    connection: Connection, estate_id: str, number: str, login: str, name: str, rent_fen: int
) -> Home:
    """A household of one person with a tenancy since January, and its login."""
    now = datetime.now(UTC)
    unit_id = connection.execute(
        select(registry.unit.c.unit_id).where(
            registry.unit.c.estate_id == estate_id, registry.unit.c.number == number
        )
    ).scalar_one()
    household_id, person_id, tenancy_id = uuid4(), uuid4(), uuid4()
    common = {"estate_id": estate_id, "ref": login, "created_at": now}
    connection.execute(insert(registry.household).values(household_id=household_id, **common))
    connection.execute(
        insert(registry.person).values(person_id=person_id, name=name, born_on=date(1950, 5, 1), **common)
    )
    connection.execute(
        insert(registry.household_member).values(
            household_id=household_id, person_id=person_id, kind="tenant", from_on=SINCE
        )
    )
    connection.execute(
        insert(registry.tenancy).values(
            tenancy_id=tenancy_id,
            household_id=household_id,
            unit_id=unit_id,
            monthly_rent_fen=rent_fen,
            from_on=SINCE,
            created_at=now,
        )
    )
    principal_id = hire(connection, login, name, [("tenant", estate_id)], person_id)
    return Home(estate_id, household_id, tenancy_id, person_id, principal_id)


def online(device: str, estate: str = NORTH, **facts: Any) -> DeviceStatus:
    """A door's state as a gateway reports it; connected for an hour unless told otherwise."""
    values = {"state": "online", "since": datetime.now(UTC) - timedelta(hours=1), "clock_offset_ms": 0}
    return DeviceStatus(estate=estate, device=device, **(values | facts))


def passage(device: str, outcome: str = "open", cause: str = "granted", **facts: Any) -> AccessRecord:
    """A passage a moment ago as a gateway forwards it."""
    now = datetime.now(UTC)
    values = {
        "record_id": uuid4(),
        "estate": device.partition("-")[0],
        "device": device,
        "passage": uuid4().hex,
        "events": [uuid4().hex],
        "credential": "face",
        "device_at": now,
        "received_at": now,
        "outcome": outcome,
        "cause": cause,
        "person": None,
        "resent": False,
    }
    return AccessRecord(**(values | facts))


@contextmanager
def founded(settings: BackendSettings, folder: Path) -> Iterator[Town]:
    """A town without people: the application on a free port, and the channel that it takes payments with."""
    key, secret = f"sk_test_{uuid4().hex}", f"whsec_{uuid4().hex}"
    (folder / "api_key").write_text(key)
    (folder / "webhook_secret").write_text(secret)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    listener = listen("127.0.0.1", 0)
    channel_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    account = replace(AccountSettings(), public_url=channel_url)
    core = StripeCore(lambda: datetime.now(UTC), Random(7), account, api_key=key)
    core.add_endpoint(f"{url}/webhooks/stripe", secret)
    app = create_app(
        msgspec.structs.replace(
            settings,
            login=msgspec.structs.replace(settings.login, attempts_by_login=3),
            serve=msgspec.structs.replace(settings.serve, port=port, public_url=url),
            payments=PaymentSettings(
                stripe_api_base=channel_url,
                stripe_api_key_file=folder / "api_key",
                stripe_webhook_secret_file=folder / "webhook_secret",
                checkout_origins=(channel_url,),
            ),
        )
    )
    with closing(app.extensions["estate"]), served(app, port), StripeServer(core, listener) as channel:
        yield Town(app, url, channel, key)
