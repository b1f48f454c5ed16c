"""Migrations stand in one line: each number once, each behind the one before it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from alembic.script import ScriptDirectory

FOLDER = Path(str(resources.files("backend.db"))) / "migrations"


def test_each_migration_has_its_own_number_and_follows_the_one_before() -> None:
    files = sorted((FOLDER / "versions").glob("[0-9]*.py"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    line = [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()]
    assert line == [file.name[:4] for file in reversed(files)]


def test_each_sql_file_is_of_a_migration_that_there_is() -> None:
    numbers = {file.name[:4] for file in (FOLDER / "versions").glob("[0-9]*.py")}
    assert {file.name[:4] for file in (FOLDER / "sql").glob("*.sql")} <= numbers
