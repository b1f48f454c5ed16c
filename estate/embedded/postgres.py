"""A PostgreSQL server of our own: its data in one folder, reachable over one socket, gone when we are.

The server listens on no port. Its superuser has no password: the kernel vouches that it is asked for by
the user who started the server. Every other role logs in with its own password.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import psycopg
from psycopg.conninfo import make_conninfo

from estate.embedded.places import (
    claim,
    disk_full,
    folder_elsewhere,
    folder_in_use,
    is_disk_full,
    own_folder,
    reachable_home,
    refused_by_system,
)
from estate.embedded.postgres_programs import find_programs, major_version
from estate.processes import StartFailedError, start_child, stop_child, wait_until

PORT = 5432  # only names the socket's file
SOCKET_PATH_BYTES_MAX = 107  # sun_path of linux/un.h, less its closing zero
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
SERVER_USER_OF_ROOT = "nobody"  # PostgreSQL refuses to run as root

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    # The values of a refused row and the text of a failed statement may be a person's data: not in logs.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
# Each statement takes some hundred kilobytes and gives them back; glibc would ask the kernel for them anew
# every time, which is a twelfth of an entry's cost. docker-compose.yml has the same.
MALLOC = {"MALLOC_TOP_PAD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "33554432"}


class EmbeddedPostgres:
    """One server over one folder; a context manager, or `start` and `stop`.

    Args:
        folder: holds data, socket and log; made if needed, and used again by the next start. Where the
            user that the server runs as cannot enter it, a folder below /var/tmp takes its place.
        binaries: the folder with `postgres` and `initdb`; by default those of the installed wheel.
    """

    def __init__(self, folder: Path, *, binaries: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.user = SERVER_USER_OF_ROOT if os.geteuid() == 0 else None
        self._binaries = binaries
        self._home: Path | None = None
        self._sockets: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._claim: IO[bytes] | None = None

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def home(self) -> Path:
        """Where the files really are: `folder`, or what takes its place. Known once started."""
        return _known(self._home)

    @property
    def socket_folder(self) -> Path:
        """The folder of the server's socket, libpq's `host`. Known once started."""
        return _known(self._sockets)

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def dsn(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """A libpq keyword string; the superuser `postgres` needs no password."""
        return make_conninfo(
            host=str(self.socket_folder), port=PORT, dbname=database, user=user, password=password
        )

    def start(self) -> None:
        """Make the data folder where needed and start the server where it does not run yet.

        Returns when it answers.

        Raises:
            StartFailedError: programs missing, folder in use or not writable, disk full.
        """
        if self.pid is not None:
            return
        self.stop()
        try:
            self._home = reachable_home(self.folder, self.user)
            self._claim = claim(self.home / "in-use", self.folder)
            programs = find_programs(self._binaries, self.home, self.user)
            self._wait_for_the_dying()
            self._make_data(programs)
            self._sockets = self._socket_place()
            self._launch(programs)
        except OSError as error:
            self.stop()
            raise refused_by_system(error, self._home or self.folder) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server in order; open connections are cut. Nothing happens where none runs."""
        if self._child is not None:
            stop_child(self._child, signal.SIGINT, STOP_SECONDS_MAX)
            self._child = None
        if self._sockets is not None and self._sockets.parent != self.home:
            shutil.rmtree(self._sockets.parent, ignore_errors=True)
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _make_data(self, programs: Path) -> None:
        data = self.home / "data"
        if data.exists():
            self._refuse_foreign_data(data, programs)
            return
        # Under another name until it is whole: one that was interrupted is thrown away here.
        unfinished = self.home / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        own_folder(unfinished, self.user)
        # --no-locale: the same order of texts on every machine, whatever languages it has.
        command: list[str | Path] = [
            programs / "initdb",
            "--pgdata",
            unfinished,
            "--username=postgres",
            "--encoding=UTF8",
        ]
        command += ["--no-locale", "--data-checksums", "--auth=reject"]
        with self._new_log() as log:
            child = start_child(
                command, log=log, environment=_environment(), user=self.user, folder=unfinished
            )
            try:
                made = child.wait(START_SECONDS_MAX) == 0
            finally:
                stop_child(child, signal.SIGKILL)
        if not made:
            raise self._failed()
        unfinished.rename(data)

    def _refuse_foreign_data(self, data: Path, programs: Path) -> None:
        owner = data.stat().st_uid
        us = os.geteuid() if self.user is None else pwd.getpwnam(self.user).pw_uid
        if owner != us:
            raise StartFailedError(
                f"{data} 属于另一个用户（{owner}）；请用原来的用户启动，或删除该目录。  |  "
                f"{data} belongs to another user ({owner}); start as the user who made it, or delete it."
            )
        made_by, ours = (data / "PG_VERSION").read_text().strip(), major_version(programs)
        if made_by != ours:
            raise StartFailedError(
                f"{data} 由 PostgreSQL {made_by} 建立，现有程序是 {ours}；请换目录或用原版本升级。  |  "
                f"{data} was made by PostgreSQL {made_by}, and this is {ours}; "
                "choose another folder or upgrade it."
            )

    def _wait_for_the_dying(self) -> None:
        """Let a server whose owner was killed end; forget what it left behind.

        PostgreSQL itself judges by the number in postmaster.pid, which may be another process's by now.
        """
        data, unfinished = self.home / "data", self.home / "data.unfinished"
        wait_until(
            lambda: not _processes_in(data) and not _processes_in(unfinished),
            STOP_SECONDS_MAX,
            str(folder_in_use(self.folder)),
        )
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _socket_place(self) -> Path:
        place = self.home / "run"
        # libpq would take a comma for the end of one host in a list of them.
        if len(os.fsencode(place / f".s.PGSQL.{PORT}")) > SOCKET_PATH_BYTES_MAX or "," in str(place):
            place = folder_elsewhere(self.folder) / "run"
        own_folder(place, self.user)
        return place

    def _launch(self, programs: Path) -> None:
        sockets = str(self.socket_folder).replace('"', '""')
        settings = {**SETTINGS, "unix_socket_directories": f'"{sockets}"', **self._access()}
        command: list[str | Path] = [programs / "postgres", "-D", self.home / "data", "-p", str(PORT)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._new_log() as log:
            child = self._child = start_child(
                command,
                log=log,
                environment=_environment(),
                user=self.user,
                folder=self.home,
                # Immediate shutdown: its own children go at once too, and the next start recovers.
                parent_death_signal=signal.SIGQUIT,
            )
        with contextlib.suppress(StartFailedError):
            wait_until(lambda: child.poll() is not None or self._answers(), START_SECONDS_MAX, "")
        if child.poll() is not None or not self._answers():
            raise self._failed()

    def _access(self) -> dict[str, str]:
        """Who may log in: we as the superuser without a password, any other role with its password."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        files = {
            "hba_file": (
                self.home / "access.conf",
                "local all postgres peer map=us\nlocal all all scram-sha-256\n",
            ),
            "ident_file": (self.home / "names.conf", f'us "{me}" postgres\n'),
        }
        for file, text in files.values():
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644)
        return {setting: str(file) for setting, (file, _) in files.items()}

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn(), connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _new_log(self) -> IO[bytes]:
        log = self.home / "postgres.log"
        if log.exists():
            log.replace(self.home / "postgres.log.before")
        return log.open("wb")

    def _failed(self) -> StartFailedError:
        log = self.home / "postgres.log"
        text = log.read_text(encoding="utf-8", errors="replace")
        if is_disk_full(text, self.home):
            return disk_full(self.home)
        lines = text.splitlines()
        wrong = [line for line in lines if "FATAL" in line or "error:" in line] or lines[-1:]
        said = "".join(wrong[:1])
        return StartFailedError(
            f"数据库未能启动，详情见 {log}：{said}  |  The database did not start, see {log}: {said}"
        )


def _known(path: Path | None) -> Path:
    if path is None:
        raise RuntimeError("known once the server has been started")
    return path


def _environment() -> dict[str, str]:
    # Nothing of the caller's: PGDATA, PGPORT, PGOPTIONS and the like would change the server.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **MALLOC}


def _processes_in(data: Path) -> list[int]:
    """The processes that work in `data`: a PostgreSQL server's all do."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if (process / "cwd").readlink() == data.resolve():
                    found.append(int(process.name))
            except OSError:  # it ended meanwhile, or is another user's
                continue
    return found
