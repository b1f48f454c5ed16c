"""Arrays in PostgreSQL's own notation."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from backend.db.arrays import array_text


def test_every_kind_of_value_is_written_as_postgresql_reads_it() -> None:
    moment = datetime(2026, 11, 3, 2, tzinfo=UTC)
    found = array_text([1, -2, None, UUID(int=1), date(2026, 11, 3), moment, True])
    assert found == (
        "{1,-2,NULL,00000000-0000-0000-0000-000000000001,2026-11-03,2026-11-03 02:00:00+00:00,True}"
    )


def test_a_text_is_never_read_as_notation() -> None:
    assert array_text(["NULL", "", "a,b", 'say "yes"', "\\", "{x}"]) == (
        '{"NULL","","a,b","say \\"yes\\"","\\\\","{x}"}'
    )
