"""Shows a book in Fava: a process of its own on this machine, over an exported file."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import click
from sqlalchemy import Engine, text

from backend.closing import pack
from backend.closing.beancount_file import beancount_lines
from backend.closing.book_reading import first_needed, in_days, read_book_month, read_entries
from backend.closing.programs import find_program
from backend.closing.records import Month
from backend.closing.service import estate_of
from estate.processes import stop_child

# Up to whatever is sealed.
LAST = 2**62


def export(engine: Engine, book_id: str, month: Month | None, folder: Path) -> Path:
    """The month's beancount file with its opening balances; the latest month without one.

    Raises:
        BookUnknownError
    """
    with engine.connect() as connection:
        estate_of(connection, book_id)
        last: date | None = connection.execute(
            text("SELECT max(effective_on) FROM journal_entry WHERE book_id = :book"), {"book": book_id}
        ).scalar_one()
        month = month or Month((last or date.today()).replace(day=1))  # noqa: DTZ011 (an empty book)
        book = read_book_month(connection, book_id, month)
        first = first_needed(connection, book_id, month)
        entries = [] if first is None else read_entries(connection, book_id, first, LAST)
    path = folder / pack.BEANCOUNT
    with path.open("w", encoding="utf-8") as file:
        file.writelines(beancount_lines(book, in_days(entries, month)))
    return path


def serve(path: Path, port: int) -> None:
    """Run Fava until Ctrl-C, on loopback only and without its editor.

    Raises:
        ProgramMissingError: it is not installed.
    """
    command = [find_program("fava"), "--host", "127.0.0.1", "--port", str(port), "--read-only", str(path)]
    click.echo(f"http://127.0.0.1:{port}/  （Ctrl-C 结束  |  Ctrl-C ends it）")
    child = subprocess.Popen(command)
    try:
        child.wait()
    except KeyboardInterrupt:
        # The terminal has sent it to Fava as well; whoever does not listen is ended.
        stop_child(child)
