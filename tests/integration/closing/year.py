"""A year of an estate's books with every kind of voucher, the same each time.

Beside the books stands the world outside, with figures of its own: what the bank and the channels hold is
counted from what happened there, never from an entry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy import Connection, Engine, insert

from backend.approvals import service as approvals
from backend.closing.records import Month
from backend.closing.service import Closed, close_month
from backend.identity.principal import Grant, Principal
from backend.identity.tables import principal, principal_role
from backend.ledger import service
from backend.ledger.books import open_books
from backend.ledger.rules import Dimensions, Line, NewEntry
from backend.reconciliation import tables as said
from backend.registry import tables as registry
from backend.rent.tables import rent_charge, take_over, take_over_file
from tests.unit.money.voucher_page import CHANNEL, documented, holders

YEAR = 2026
ESTATE = "lianhu-1"
HOLDERS = {"bank": "1002", "stripe": "1021.01", "wechat": "1021.02", "alipay": "1021.03"}
DUES = ("rent", "late_fee", "property_fee", "utilities", "deposit", "damage")
NOON = time(4, tzinfo=UTC)


@dataclass
class House:
    """A household with what it owes by due, as the simulation counts it."""

    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    number: int
    owed: Counter[str] = field(default_factory=Counter)


@dataclass
class Year:
    """The estate, and what has happened there up to now."""

    engine: Engine
    households: int = 6
    random: Random = field(default_factory=lambda: Random(20260101))
    houses: list[House] = field(default_factory=list)
    people: list[Principal] = field(default_factory=list)
    # What the world outside holds: the day's movements by holder.
    moves: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    collected: Counter[str] = field(default_factory=Counter)
    entries: dict[str, tuple[int, NewEntry]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    fees_fen: int = 0
    cash_fen: int = 0
    wechat_on_its_way_fen: int = 0
    book_id: str = ESTATE

    def new_id(self) -> UUID:
        """An id that is the same in each run."""
        return UUID(int=self.random.getrandbits(128), version=4)

    # ------------------------------------------------------------------------------- the estate

    def build(self) -> None:
        """The estate with its homes, and the accounts whose statements will come."""
        opened = datetime(YEAR - 1, 12, 1, tzinfo=UTC)
        with self.engine.begin() as connection:
            connection.execute(
                insert(registry.estate).values(
                    estate_id=ESTATE,
                    name_zh="莲湖小区",
                    name_en="Lianhu",
                    district="江海区",
                    faces_enabled=False,
                    fpir=0.003,
                    hmac_key_sealed=b"sealed",
                    created_at=opened,
                )
            )
            connection.execute(
                insert(registry.building).values(
                    estate_id=ESTATE, building_id="a", name_zh="A栋", floors=9, units_per_floor=99
                )
            )
            open_books(connection, opened)
            self.people += [self._employ(connection, login, opened) for login in ("wang", "li")]
            for number in range(self.households):
                self.houses.append(self._move_in(connection, number, opened))
            for holder, code in HOLDERS.items():
                self._open_account(connection, holder, code, opened)

    def _employ(self, connection: Connection, login: str, at: datetime) -> Principal:
        principal_id = self.new_id()
        connection.execute(
            insert(principal).values(
                principal_id=principal_id, login=login, display_name=login, created_at=at
            )
        )
        connection.execute(
            insert(principal_role).values(
                grant_id=self.new_id(),
                principal_id=principal_id,
                role="finance",
                estate_id=None,
                valid_from=at,
                created_at=at,
            )
        )
        return Principal(principal_id, login, login, None, (Grant("finance", None, at, None),))

    def _move_in(self, connection: Connection, number: int, at: datetime) -> House:
        house = House(self.new_id(), self.new_id(), self.new_id(), number)
        connection.execute(
            insert(registry.unit).values(
                unit_id=house.unit_id,
                estate_id=ESTATE,
                building_id="a",
                floor=1 + number // 99,
                number=f"{number:04d}",
            )
        )
        connection.execute(
            insert(registry.household).values(
                household_id=house.household_id, estate_id=ESTATE, ref=f"H{number:05d}", created_at=at
            )
        )
        connection.execute(
            insert(registry.tenancy).values(
                tenancy_id=house.tenancy_id,
                household_id=house.household_id,
                unit_id=house.unit_id,
                monthly_rent_fen=self.rent_fen(house),
                from_on=date(YEAR - 1, 1, 1),
                created_at=at,
            )
        )
        return house

    def _open_account(self, connection: Connection, holder: str, code: str, at: datetime) -> None:
        connection.execute(
            insert(said.statement_account).values(
                account_id=f"{holder}-{ESTATE}",
                source=holder,
                account_ref=f"{holder}-{ESTATE}",
                name_zh=holder,
                book_id=self.book_id,
                account_code=code,
                settings={},
                since_on=date(YEAR, 1, 1),
                created_at=at,
            )
        )

    @staticmethod
    def rent_fen(house: House) -> int:
        """What its contract says a month."""
        return 80_000 + house.number % 50 * 1_000

    # ------------------------------------------------------------------------------- events

    def post(
        self,
        kind: str,
        key: str,
        on: date,
        amounts: dict[str, int],
        house: House | None = None,
        holder: str = "bank",
        outside: dict[str, int] | None = None,
        channel: str | None = None,
    ) -> int:
        """Post what the page of vouchers says of it; `outside` is what it does at bank and channels."""
        entry = self.entry(kind, key, on, amounts, house, holder, channel)
        with self.engine.begin() as connection:
            (posted,) = service.post(connection, [entry])
        return self._note(posted.entry_id, entry, outside)

    def entry(
        self,
        kind: str,
        key: str,
        on: date,
        amounts: dict[str, int],
        house: House | None = None,
        holder: str = "bank",
        channel: str | None = None,
    ) -> NewEntry:
        """The documented entry of an event."""
        about = Dimensions(
            ESTATE, house.unit_id if house else None, house.household_id if house else None, channel
        )
        # A manual entry has no table of its own: it is whatever two people agreed on.
        lines = [] if kind != "manual" else [Line("5001.02", 100, 0, about), Line("1001", 0, 100, about)]
        for row in documented()[kind]:
            fen = amounts.get(row.amount, 0)
            code = holders()[holder][0] if row.code == CHANNEL else row.code
            if fen:
                lines.append(Line(code, fen, 0, about) if row.side == "借" else Line(code, 0, fen, about))
        return NewEntry(
            self.book_id, kind, key, on, datetime.combine(on, NOON), f"{kind} {key}", tuple(lines), "演练"
        )

    def mirror(self, kind: str, of: str, on: date, outside: dict[str, int]) -> None:
        """Take an entry back, as a failed payout or refund does."""
        entry_id, before = self.entries[of]
        if kind == "reversal":
            with self.engine.begin() as connection:
                service.reverse(
                    connection,
                    entry_id,
                    reason="记错",
                    effective_on=on,
                    now=datetime.combine(on, NOON),
                    actor="演练",
                    principal_id=None,
                )
            self.kinds.add(kind)
            self._move(on, outside)
            return
        entry = NewEntry(
            self.book_id,
            kind,
            str(entry_id),
            on,
            datetime.combine(on, NOON),
            f"{kind} {before.event_key}",
            tuple(line.mirrored() for line in before.lines),
            "演练",
            reverses_entry_id=entry_id,
            reason="渠道失败",
        )
        with self.engine.begin() as connection:
            (posted,) = service.post(connection, [entry])
        self._note(posted.entry_id, entry, outside)

    def _note(self, entry_id: int, entry: NewEntry, outside: dict[str, int] | None) -> int:
        self.entries[f"{entry.event_kind}/{entry.event_key}"] = (entry_id, entry)
        self.kinds.add(entry.event_kind)
        self._move(entry.effective_on, outside or {})
        return entry_id

    def _move(self, on: date, outside: dict[str, int]) -> None:
        for holder, fen in outside.items():
            self.moves[holder][on] += fen

    def agreed(self, kind: str, on: date, subject: str, payload: dict[str, object] | None = None) -> UUID:
        """One asks, another agrees, and it is carried out."""
        at = datetime.combine(on, NOON)
        first, second = self.people
        with self.engine.begin() as connection:
            asked = approvals.propose(
                connection,
                kind,
                ESTATE,
                subject,
                subject,
                payload or {},
                "演练",
                first,
                at,
                new_id=self.new_id,
            )
            approvals.approve(connection, asked.proposal_id, second, at, revision=asked.revision)
            approvals.use(connection, asked.proposal_id, kind, at)
        return asked.proposal_id

    def take_over(self, on: date, entries: list[NewEntry], outside: dict[str, int]) -> None:
        """The opening entries, in the one transaction in which they may be posted."""
        body, at, file_id = b"drill", datetime.combine(on, NOON), self.new_id()
        payload: dict[str, object] = {"sha256": sha256(body).hexdigest(), "month": f"{on:%Y-%m}"}
        proposal_id = self.agreed("take_over", on, "take_over", payload)
        with self.engine.begin() as connection:
            connection.execute(
                insert(take_over_file).values(
                    file_id=file_id,
                    estate_id=ESTATE,
                    month=on,
                    name_zh="演练",
                    sha256=sha256(body).digest(),
                    body=body,
                    principal_id=self.people[0].principal_id,
                    kept_at=at,
                )
            )
            connection.execute(
                insert(take_over).values(
                    estate_id=ESTATE, file_id=file_id, month=on, proposal_id=proposal_id, posted_at=at
                )
            )
            posted = service.post(connection, entries)
        for one, entry in zip(posted, entries, strict=True):
            self._note(one.entry_id, entry, None)
        self._move(on, outside)

    def charge(self, house: House, month: date, on: date, lines: dict[str, int]) -> None:
        """A charge with its row, so that what is left of it can be aged."""
        sign = {"relief": -1, "subsidy": -1}
        due_of = {"relief": "rent", "subsidy": "rent", "relief_back": "rent", "subsidy_back": "rent"}
        for word, fen in lines.items():
            house.owed[due_of.get(word, word)] += sign.get(word, 1) * fen
        self._charge_row(house, month, on, sum(sign.get(word, 1) * fen for word, fen in lines.items()))
        self.post("rent_charge", f"{house.tenancy_id}:{month:%Y-%m}:0", on, lines, house)

    def _charge_row(self, house: House, month: date, on: date, fen: int, revision: int = 0) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                insert(rent_charge).values(
                    charge_id=self.new_id(),
                    estate_id=ESTATE,
                    household_id=house.household_id,
                    tenancy_id=house.tenancy_id,
                    unit_id=house.unit_id,
                    month=month,
                    revision=revision,
                    due_on=month.replace(day=20),
                    amount_fen=fen,
                    charged_at=datetime.combine(on, NOON),
                )
            )

    def pay(self, house: House, on: date, holder: str, key: str, prepaid: int = 0, part: int = 0) -> int:
        """The household pays what it owes (or `part` of its rent) and perhaps more."""
        dues = {"rent": part} if part else {due: house.owed[due] for due in DUES if house.owed[due] > 0}
        amount = sum(dues.values()) + prepaid
        if not amount:
            return 0
        for due, fen in dues.items():
            house.owed[due] -= fen
            self.collected[due] += fen
        outside = {} if holder in {"cash", "suspense"} else {holder: amount}
        self.cash_fen += amount if holder == "cash" else 0
        amounts = {"amount": amount, "prepaid": prepaid, **dues}
        channel = {"stripe": "wechat_pay", "wechat": "wechat_pay", "alipay": "alipay"}.get(holder)
        self.post("payment", f"{holder}:{key}", on, amounts, house, holder, outside, channel)
        return amount

    # ------------------------------------------------------------------------------- what others say

    def held(self, holder: str, on: date) -> int:
        """What the world outside holds for us at the end of a day."""
        return sum(fen for day, fen in self.moves[holder].items() if day <= on)

    def state(self, month: int) -> None:
        """The statements of a month arrive: balances of some days and of the last one."""
        first = date(YEAR, month, 1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        with self.engine.begin() as connection:
            for holder in HOLDERS:
                file_id = connection.execute(
                    insert(said.statement_file)
                    .values(
                        account_id=f"{holder}-{ESTATE}",
                        format="drill",
                        name=f"{holder}-{first:%Y-%m}",
                        sha256=sha256(f"{holder}-{first}".encode()).digest(),
                        from_on=first,
                        to_on=last + timedelta(days=1),
                        line_count=0,
                        new_line_count=0,
                        imported_at=datetime.combine(last + timedelta(days=1), NOON),
                    )
                    .returning(said.statement_file.c.file_id)
                ).scalar_one()
                self._reconciled(connection, holder, first, last)
                for on in sorted({first.replace(day=10), first.replace(day=20), last}):
                    connection.execute(
                        insert(said.statement_balance).values(
                            account_id=f"{holder}-{ESTATE}",
                            book_id=self.book_id,
                            on_day=on,
                            amount_fen=self.held(holder, on),
                            file_id=file_id,
                        )
                    )

    def _reconciled(self, connection: Connection, holder: str, first: date, last: date) -> None:
        for place in range((last - first).days + 1):
            on = first + timedelta(days=place)
            connection.execute(
                insert(said.reconciliation_day).values(
                    account_id=f"{holder}-{ESTATE}",
                    book_id=self.book_id,
                    on_day=on,
                    state="clean",
                    line_count=int(on in self.moves[holder]),
                    line_fen=self.moves[holder][on],
                    entry_count=int(on in self.moves[holder]),
                    entry_fen=self.moves[holder][on],
                    matched_count=int(on in self.moves[holder]),
                    waiting_count=0,
                    case_count=0,
                    checked_at=datetime.combine(last + timedelta(days=1), NOON),
                )
            )

    def close(self, month: int, out: Path) -> Closed:
        """The month is played, stated and closed."""
        self.state(month)
        after = Month(date(YEAR, month, 1)).to_on
        return close_month(
            self.engine,
            self.book_id,
            Month(date(YEAR, month, 1)),
            self.people[0],
            datetime.combine(after, NOON),
            out,
            despite=("suspense",),
            reason="待查款项下月处理",
        )
