"""`estate backend …` on a server of its own: from nothing to a database with people in it."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from backend.commands import backend
from backend.db.engine import connect
from estate.config import SettingsError
from estate.embedded.postgres import EmbeddedPostgres
from tests.integration.backend.conftest import ESTATES_TOML, household, import_file, member
from tests.known_faces import faces_in_database

ROLES = {"DATABASE": "estate_app", "OWNER": "estate_owner", "READER": "estate_reader"}


class Shell:
    """Runs commands as somebody at a terminal would, with settings from the environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(backend, arguments, env=self.environment)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """The one sentence of a failure."""
        done = self.run(*arguments)
        assert done.exit_code in {1, 2}
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.stdout == ""
        return done.stderr


@pytest.fixture(scope="module", autouse=True)
def logs_on_standard_error() -> Iterator[None]:
    """As the command itself sets it up, but for this module only."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    (folder / "estates.toml").write_text(ESTATES_TOML)
    (folder / "people.json").write_bytes(
        import_file(household("h1", "east", "0101", member("chen", login="chen")))
    )
    (folder / "password").write_text("long enough\n")
    return folder


@pytest.fixture(scope="module")
def shell(postgres: EmbeddedPostgres, folder: Path) -> Iterator[Shell]:
    """A database made by the commands themselves."""
    name = "made_by_commands"
    environment: dict[str, Any] = {
        "ESTATE_BACKEND_SECRETS_SESSION_KEY_FILE": str(folder / "secrets" / "session"),
        "ESTATE_BACKEND_SECRETS_MASTER_KEY_FILE": str(folder / "secrets" / "master"),
    }
    for section, role in ROLES.items():
        environment[f"ESTATE_BACKEND_{section}_URL"] = postgres.dsn(name, role)
        environment[f"ESTATE_BACKEND_{section}_PASSWORD_FILE"] = str(folder / "secrets" / role)
    shell = Shell(environment)
    with connect(postgres.dsn(), autocommit=True) as connection:
        # Other tests' databases share these roles: their passwords are put back afterwards.
        kept = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s)", [list(ROLES.values())]
        ).fetchall()
        shell.ok("bootstrap", "--superuser-url", postgres.dsn())
        shell.ok("migrate")
        yield shell
        assert faces_in_database(postgres.dsn(name)) == []
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for kept_role, password in kept:
            connection.execute(f"ALTER ROLE {kept_role} PASSWORD '{password}'")


@pytest.fixture(scope="module")
def staffed(shell: Shell, folder: Path) -> Shell:
    """The same with estates, an administrator and one household."""
    shell.ok("load-estates", str(folder / "estates.toml"))
    shell.ok("principal", "add", "root", "--role", "admin", "--password-file", str(folder / "password"))
    shell.ok("import", str(folder / "people.json"), "--as", "root")
    return shell


def test_bootstrap_makes_secrets_for_us_alone_and_keeps_them(
    shell: Shell, folder: Path, postgres: EmbeddedPostgres
) -> None:
    secrets = sorted((folder / "secrets").iterdir())
    assert [path.name for path in secrets] == [
        "estate_app",
        "estate_owner",
        "estate_reader",
        "master",
        "session",
    ]
    before = {path: path.read_text() for path in secrets}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert len(set(before.values())) == 5
    shell.ok("bootstrap", "--superuser-url", postgres.dsn())
    shell.ok("migrate")
    assert {path: path.read_text() for path in secrets} == before


def test_import_prints_the_ids_and_may_be_repeated(staffed: Shell, folder: Path) -> None:
    first = json.loads(staffed.ok("import", str(folder / "people.json"), "--as", "root"))
    assert set(first) == {"h1", "chen"}
    assert json.loads(staffed.ok("import", str(folder / "people.json"), "--as", "root")) == first


def test_a_faulty_import_names_each_row(staffed: Shell, tmp_path: Path) -> None:
    file = tmp_path / "faulty.json"
    file.write_bytes(
        import_file(household("a", "east", "9999", member("x")), household("b", "moon", "1", member("y")))
    )
    said = staffed.refused("import", str(file), "--as", "root")
    assert "households[0] (a)" in said
    assert "households[1] (b)" in said


def test_a_clerk_of_another_estate_is_refused_and_audited(staffed: Shell, tmp_path: Path) -> None:
    staffed.ok("principal", "add", "westclerk", "--role", "operator", "--estate", "west")
    file = tmp_path / "east.json"
    file.write_bytes(import_file(household("h9", "east", "0202", member("z"))))
    assert "estate east" in staffed.refused("import", str(file), "--as", "westclerk")
    url = staffed.environment["ESTATE_BACKEND_READER_URL"]
    with connect(url, staffed.environment["ESTATE_BACKEND_READER_PASSWORD_FILE"]) as connection:
        rows = connection.execute(
            "SELECT action, estate_id, reason FROM audit_record WHERE outcome = 'refused'"
        ).fetchall()
        assert rows == [("import", "east", "not_allowed")]


def test_adding_a_known_login_completes_it_and_widens_nothing(staffed: Shell, folder: Path) -> None:
    staffed.ok("principal", "add", "chen", "--role", "tenant", "--password-file", str(folder / "password"))
    listed = {
        line.split("\t")[0]: line.split("\t")[2] for line in staffed.ok("principal", "list").splitlines()
    }
    assert listed["chen"] == "tenant@east"
    assert listed["root"] == "admin@*"


def test_a_gateway_gets_its_credential_printed_and_nothing_else(staffed: Shell) -> None:
    first = staffed.ok("gateway", "add", "gw", "--estate", "east", "--estate", "west")
    second = staffed.ok("gateway", "rotate", "gw", "--old-hours", "1")
    assert first != second
    for printed in (first, second):
        assert printed.startswith("gw.")
        assert len(printed.split()) == 1
    staffed.ok("gateway", "revoke", "gw")
    assert "no gateway gw" in staffed.refused("gateway", "rotate", "gw")


def test_a_secret_that_cannot_be_written_is_one_sentence(shell: Shell, postgres: EmbeddedPostgres) -> None:
    # In the command itself SettingsError becomes the sentence; see estate.cli.
    nowhere = shell.environment | {"ESTATE_BACKEND_SECRETS_SESSION_KEY_FILE": "/proc/nowhere/key"}
    done = Shell(nowhere).run("bootstrap", "--superuser-url", postgres.dsn())
    assert isinstance(done.exception, SettingsError)
    assert "/proc/nowhere/key" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gateway", "add", "gw2", "--estate", "nowhere"), "no estate nowhere"),
        (("gateway", "add", "GW 2", "--estate", "east"), "cannot be used"),
        (("gateway", "add", "gw2"), "Missing option '--estate'"),
        (("principal", "add", "x"), "Missing option '--role'"),
        (("principal", "add", "x", "--role", "king"), "'king' is not one of"),
        (("principal", "add", "two words", "--role", "admin"), "cannot be used"),
        (("principal", "add", "x", "--role", "operator", "--estate", "nowhere"), "no estate nowhere"),
        (("import", "missing.json", "--as", "root"), "does not exist"),
        (("load-estates",), "Missing argument 'FILE'"),
        (("dance",), "No such command 'dance'"),
        (("charge", "--month", "2026-11"), "No such command 'charge'"),
    ],
)
def test_wrong_arguments_get_one_sentence(staffed: Shell, arguments: tuple[str, ...], words: str) -> None:
    said = staffed.refused(*arguments)
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in said


def test_an_unknown_acting_principal_is_refused(staffed: Shell, folder: Path) -> None:
    said = staffed.refused("import", str(folder / "people.json"), "--as", "ghost")
    assert "no login ghost" in said


def test_a_database_that_does_not_answer_is_one_sentence(staffed: Shell) -> None:
    lost = staffed.environment | {"ESTATE_BACKEND_DATABASE_URL": "host=127.0.0.1 port=1 dbname=x user=y"}
    said = Shell(lost).refused("principal", "list")
    assert "cannot be reached" in said
    assert len(said.strip().splitlines()) == 1


def test_every_command_has_a_help_text() -> None:
    def walk(command: click.Command) -> Iterator[click.Command]:
        yield command
        if isinstance(command, click.Group):
            for one in command.commands.values():
                yield from walk(one)

    assert [command.name for command in walk(backend) if not command.help] == []
