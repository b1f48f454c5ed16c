import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from estate.embedded import places, postgres_programs
from estate.embedded.postgres import EmbeddedPostgres
from estate.processes import StartFailedError, wait_until

ROOT = os.geteuid() == 0
OWNER = """
import sys, time
from pathlib import Path
from estate.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(database_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A place of this test's own that the server's user can pass through."""
    place = database_folder / f"p{abs(hash(request.node.nodeid)):x}"
    place.mkdir(mode=0o711)
    place.chmod(0o711)
    yield place / "pg"
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def elsewhere(database_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands in for /var/tmp."""
    place = database_folder / "elsewhere"
    place.mkdir()
    place.chmod(0o711)
    monkeypatch.setattr(places, "SHARED_FOLDER", place)
    yield place
    shutil.rmtree(place)


def number_in(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute("SELECT n FROM kept").fetchone()
    assert row is not None
    number: int = row[0]
    return number


def keep_number(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")


def test_it_keeps_utf8_and_utc_and_what_was_committed(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        shown = connection.execute(
            "SELECT current_setting('server_encoding'), current_setting('timezone'),"
            " current_setting('fsync'),"
            " current_setting('synchronous_commit'), current_setting('data_checksums')"
        ).fetchone()
    assert shown == ("UTF8", "UTC", "on", "on", "on")


def test_it_listens_on_no_port(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert {file.name for file in postgres.socket_folder.iterdir()} == {
        ".s.PGSQL.5432",
        ".s.PGSQL.5432.lock",
    }


def test_a_role_logs_in_with_its_own_password_only(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'right'")
    with psycopg.connect(postgres.dsn(user="clerk", password="right")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("clerk",)
    for wrong in ("wrong", None):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres.dsn(user="clerk", password=wrong))


def test_another_user_of_the_machine_is_not_the_superuser(postgres: EmbeddedPostgres) -> None:
    names = (postgres.home / "names.conf").read_text()
    assert names == f'us "{pwd.getpwuid(os.geteuid()).pw_name}" postgres\n'
    assert postgres.socket_folder.stat().st_mode & 0o777 == 0o700
    for user in ("nobody", "daemon") if ROOT else ():
        assert not can_connect_as(user, postgres.dsn())


def can_connect_as(user: str, dsn: str) -> bool:
    """Try it in a copy of this process, which then need not read any file as that user."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(pwd.getpwnam(user).pw_uid)
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_next_start_finds_the_same_data(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with server:
        keep_number(server)
    assert server.pid is None
    with server:
        assert number_in(server) == 42


def test_stopping_twice_and_stopping_what_never_ran_change_nothing(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_where_it_is_is_known_only_once_it_was_started(folder: Path) -> None:
    with pytest.raises(RuntimeError):
        EmbeddedPostgres(folder).dsn()


def test_a_server_killed_with_9_loses_nothing_that_was_committed(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    keep_number(server)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.pid is None, 5, "it is still there")
    with server:
        assert number_in(server) == 42


def test_it_ends_with_its_owner_and_the_next_start_waits_for_that(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, folder], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        owner.kill()
        with EmbeddedPostgres(folder) as server:
            keep_number(server)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5, "the server outlived its owner")


def test_a_folder_that_a_live_server_uses_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        keep_number(server)
        with pytest.raises(StartFailedError, match="正被另一个正在运行的服务使用"):
            EmbeddedPostgres(folder).start()
        server.start()
        assert number_in(server) == 42


def test_what_an_interrupted_start_left_is_thrown_away(folder: Path) -> None:
    (folder / "data.unfinished" / "base").mkdir(parents=True)
    folder.chmod(0o711)
    (folder / "data.unfinished" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder) as server:
        keep_number(server)
    assert not (folder / "data.unfinished").exists()


def test_a_process_number_used_again_by_another_program_does_not_hinder_the_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        keep_number(server)
    (server.home / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{server.home / 'data'}\n")
    with EmbeddedPostgres(folder) as server:
        assert number_in(server) == 42


@pytest.mark.parametrize("name", ["有 空格", "a\"b'c", "a,b", "x" * 120, "$HOME %d \\ ;"])
def test_any_name_of_a_folder_does(folder: Path, name: str) -> None:
    with EmbeddedPostgres(folder / name) as server:
        keep_number(server)
        assert number_in(server) == 42
        assert len(os.fsencode(server.socket_folder / ".s.PGSQL.5432")) < 108
    assert (folder / name / "data" / "PG_VERSION").exists()


def test_a_folder_that_the_servers_user_cannot_enter_is_left_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "pg") as server:
        keep_number(server)
        assert (server.home == closed / "pg") is not ROOT
    assert closed.stat().st_mode & 0o777 == 0o700
    with EmbeddedPostgres(closed / "pg") as server:
        assert number_in(server) == 42


def test_deleting_a_folder_deletes_its_data_also_where_they_lie_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "pg") as server:
        keep_number(server)
    shutil.rmtree(closed / "pg")
    with EmbeddedPostgres(closed / "pg") as server, pytest.raises(psycopg.errors.UndefinedTable):
        number_in(server)


def test_a_folder_elsewhere_that_is_not_ours_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    place = places.folder_elsewhere(tmp_path)
    place.rmdir()
    place.symlink_to("/")
    with pytest.raises(StartFailedError, match="属于别的用户"):
        places.folder_elsewhere(tmp_path)
    place.unlink()


def test_programs_that_the_servers_user_cannot_enter_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = postgres_programs.find_programs(None, tmp_path, None).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(installed, closed / postgres_programs.INSTALL, symlinks=True)
    libraries = f"{postgres_programs.WHEEL}.libs"
    shutil.copytree(installed.parent.parent / libraries, closed / libraries, symlinks=True)
    monkeypatch.setattr(postgres_programs, "_wheel_root", lambda: closed)
    for _ in range(2):
        with EmbeddedPostgres(folder) as server, psycopg.connect(server.dsn()) as connection:
            connection.execute("SELECT 1")
    assert len(list(folder.glob("programs-*"))) == (1 if ROOT else 0)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_programs_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StartFailedError, match=str(tmp_path / "none")):
        EmbeddedPostgres(folder, binaries=tmp_path / "none").start()


def test_a_wheel_that_is_missing_says_what_installs_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "WHEEL", "no_such_wheel")
    with pytest.raises(StartFailedError, match=r"tools/install\.sh demo"):
        EmbeddedPostgres(folder).start()


@pytest.fixture
def failing_programs(database_folder: Path) -> Iterator[Path]:
    """Programs in the place of PostgreSQL's that do nothing but fail."""
    programs = database_folder / "failing"
    programs.mkdir(mode=0o755)
    for name in ("postgres", "initdb"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    yield programs
    shutil.rmtree(programs)


@pytest.mark.parametrize(
    "said",
    ["could not write: No space left on device", "could not extend file: wrote only 4096 of 8192 bytes"],
)
def test_a_full_disk_is_one_sentence_and_leaves_the_folder_free(
    folder: Path, failing_programs: Path, said: str
) -> None:
    (failing_programs / "initdb").write_text(f"#!/bin/sh\necho 'FATAL: {said}'; exit 1\n")
    with pytest.raises(StartFailedError, match="磁盘已满") as caught:
        EmbeddedPostgres(folder, binaries=failing_programs).start()
    assert "\n" not in str(caught.value)
    with EmbeddedPostgres(folder) as server:
        keep_number(server)


def test_any_other_failure_names_the_log_and_its_line(folder: Path, failing_programs: Path) -> None:
    (failing_programs / "initdb").write_text("#!/bin/sh\necho 'initdb: error: no such encoding'; exit 1\n")
    with pytest.raises(StartFailedError, match="no such encoding") as caught:
        EmbeddedPostgres(folder, binaries=failing_programs).start()
    assert str(folder / "postgres.log") in str(caught.value)


def test_data_of_another_version_are_refused_untouched(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        keep_number(server)
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartFailedError, match="PostgreSQL 17"):
        EmbeddedPostgres(folder).start()
    (folder / "data" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder) as server:
        assert number_in(server) == 42


def test_the_log_holds_no_values_of_a_refused_row(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE card (number text PRIMARY KEY)")
            connection.execute("INSERT INTO card VALUES ('A-4711')")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO card VALUES ('A-4711')")
        log = (server.home / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "4711" not in log
