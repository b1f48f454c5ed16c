"""Builds the close pack of a locked month out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text

from backend.closing import book_reading, pack, pack_documents, programs, verify_pack
from backend.closing.helpers import Helpers
from backend.closing.pack import Chain, ChargeMonth, OpenItem, PackContent
from backend.closing.pack_sheets import (
    RECONCILIATION,
    REPORT_FILES,
    heading_of,
    reconciliation_sheets,
    report_sheets,
)
from backend.closing.records import BookMonth, Month
from backend.closing.report_specs import COLLECTION, OPEN_ITEMS
from backend.closing.reports import Query, stream_rows
from backend.documents.columns import Sheet
from estate.collecting import nothing_collected

WORKBOOKS = "excel"  # the verifier's check of them


def build_pack(
    connection: Connection,
    folder: Path,
    book_id: str,
    month: Month,
    head_sequence: int,
    previous: tuple[int, str] | None,
    closed_at: datetime,
    signers: pack_documents.CloseFacts,
) -> tuple[str, list[str]]:
    """Write the pack into an empty folder and check it.

    Args:
        head_sequence: where the chain stood when the month was locked.
        previous: sequence and hash of the head of the month before, where that was closed.
    Returns:
        The SHA-256 of its manifest, in hexadecimal, and what is wrong with it.
    """
    with Helpers() as helpers, nothing_collected():
        content = read_content(connection, book_id, month, head_sequence, previous, closed_at)
        pack.write_beancount(folder, content)
        bean_check = ask_bean_check(helpers, folder)
        pack.write_texts(folder, content)
        query, heading = Query((book_id,), month.from_on, month.to_on), heading_of(content.book)
        workbooks: dict[str, Iterable[Sheet]] = {
            name: report_sheets(connection, specs, query, heading) for name, specs in REPORT_FILES.items()
        }
        workbooks[RECONCILIATION] = reconciliation_sheets(
            content.book.assertions, content.days, content.cases, content.shares, heading
        )
        written = pack.write_workbooks(helpers, folder, workbooks)
        for name, document in pack_documents.documents(connection, query, content, signers).items():
            (folder / name).write_bytes(document)
        for workbook in written:
            workbook.result()
        manifest = pack.write_manifest(folder, content)
        return manifest, wrong_with(helpers, folder, len(content.entries), bean_check)


def ask_bean_check(helpers: Helpers, folder: Path) -> list[Future[list[str]]]:
    """What bean-check finds in the pack's book, where it is installed; it reads while others write."""
    if not programs.is_installed(programs.BEAN_CHECK):
        return []
    return [helpers.wait(_bean_check, folder / pack.BEANCOUNT)]


def wrong_with(
    helpers: Helpers, folder: Path, entries: int, others: Sequence[Future[list[str]]]
) -> list[str]:
    """What the pack's own verifier finds, side by side in two halves, and what others found.

    The workbooks take as long as all the verifier's other checks, so they are a half.
    """
    names = [name for name, _ in verify_pack.CHECKS]
    halves = [[name for name in names if name != WORKBOOKS], [WORKBOOKS]]
    found = [helpers.start(entries, verify_pack.verify, folder, None, None, half) for half in halves]
    return list(dict.fromkeys(said for one in [*found, *others] for said in one.result()))


def _bean_check(path: Path) -> list[str]:
    return [f"{programs.BEAN_CHECK}: {said}" for said in programs.bean_check(path)]


def read_content(
    connection: Connection,
    book_id: str,
    month: Month,
    head_sequence: int,
    previous: tuple[int, str] | None,
    closed_at: datetime,
) -> PackContent:
    """Everything that the canonical files hold."""
    book = book_reading.read_book_month(connection, book_id, month)
    chain = _chain(connection, book_id, month, head_sequence, previous)
    entries = book_reading.read_entries(connection, book_id, chain.before_sequence + 1, head_sequence)
    opening = book_reading.read_opening(connection, book_id, month)
    query = Query((book_id,), month.from_on, month.to_on)
    items = [
        OpenItem(str(row.opens), row.cells[1], row.cells[2], row.cells[3])  # type: ignore[arg-type]
        for row in stream_rows(connection, OPEN_ITEMS, query)
    ]
    households = {item.household_id for item in items}
    households |= {one.household_id for one in opening if one.household_id}
    households |= {p.household_id for entry in entries for p in entry.postings if p.household_id}
    return PackContent(
        book=book,
        chain=chain,
        entries=entries,
        opening=opening,
        households=book_reading.labels(connection, households),
        items=items,
        months=[
            ChargeMonth(row.cells[0], row.cells[1], row.cells[2], row.cells[4])  # type: ignore[arg-type]
            for row in stream_rows(connection, COLLECTION, query)
        ],
        days=[tuple(row) for row in connection.execute(text(_DAYS), _period(book))],
        cases=[tuple(row) for row in connection.execute(text(_CASES), _period(book))],
        shares=book_reading.read_shares(connection, book_id, month),
        closed_at=closed_at,
    )


def _chain(
    connection: Connection,
    book_id: str,
    month: Month,
    head_sequence: int,
    previous: tuple[int, str] | None,
) -> Chain:
    """From the month's earliest entry on, and never later than where the previous pack ended."""
    needed = book_reading.first_needed(connection, book_id, month)
    # The first pack of a book holds its whole chain.
    after_previous = 1 if previous is None else previous[0] + 1
    before = min(after_previous, needed or after_previous) - 1
    return Chain(
        before_sequence=before,
        before_hash=book_reading.hash_at(connection, book_id, before),
        head_sequence=head_sequence,
        head_hash=book_reading.hash_at(connection, book_id, head_sequence),
        previous_head=None if previous is None else previous[1],
    )


def _period(book: BookMonth) -> Mapping[str, object]:
    return {"book": book.book_id, "from_on": book.month.from_on, "to_on": book.month.to_on}


_DAYS = """
    SELECT account_id, on_day, state, line_count, line_fen, entry_count, entry_fen, matched_count,
           waiting_count, case_count
    FROM reconciliation_day WHERE book_id = :book AND on_day >= :from_on AND on_day < :to_on
    ORDER BY on_day, account_id COLLATE "C"
"""
# Those of the month, and older ones that were still open in it.
_CASES = """
    SELECT case_id, account_id, kind, side, on_day, difference_fen,
           (closed_at AT TIME ZONE 'Asia/Shanghai')::date, close_reason
    FROM reconciliation_case
    WHERE book_id = :book AND on_day < :to_on
      AND (on_day >= :from_on OR closed_at IS NULL
           OR (closed_at AT TIME ZONE 'Asia/Shanghai')::date >= :from_on)
    ORDER BY case_id
"""
