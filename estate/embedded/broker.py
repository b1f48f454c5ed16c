"""MQTT brokers of our own: Mosquitto where it is installed, otherwise one written in Python.

Both ask every client for its password, let it read and write only its own topics, listen on loopback
unless TLS is given, and end when we do.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal

import msgspec

from estate.config import is_loopback
from estate.embedded.authority import TlsFiles
from estate.embedded.broker_users import SALT_BYTES, BrokerUser, acl_file, hash_password
from estate.embedded.places import disk_full, is_disk_full, put_file, refused_by_system
from estate.processes import StartFailedError, free_port, start_child, stop_child, wait_until

START_SECONDS_MAX = 20.0
MESSAGE_BYTES_MAX = 6 * 1024 * 1024  # above what the gateway takes, so that it is the gateway that says why
Kind = Literal["mosquitto", "amqtt"]


class Broker(ABC):
    """One broker over one folder; a context manager, or `start` and `stop`.

    Args:
        folder: holds its configuration, users and log; made if needed.
        port: where it listens; 0 takes a free one.
        users: who may log in.
        tls: its certificate; without one it listens in plain text, on loopback only.
        host: the address it listens on.
    Raises:
        StartFailedError: plain text was asked for on an address that other machines reach.
    """

    kind: ClassVar[Kind]
    cannot_show: ClassVar[tuple[str, ...]]
    """What of production this one cannot show, each a sentence in Chinese and English."""

    def __init__(
        self,
        folder: Path,
        port: int,
        users: Sequence[BrokerUser],
        tls: TlsFiles | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        if tls is None and not is_loopback(host):
            raise StartFailedError(
                f"代理不能在 {host} 上明文监听；请提供证书，或只监听 127.0.0.1。  |  "
                f"The broker may not listen in plain text on {host}; give it a certificate, or use 127.0.0.1."
            )
        self.folder, self.host, self.tls = folder.absolute(), host, tls
        self.port = port or free_port(host)
        self._users = tuple(users)
        # Kept, so that a user with the same password has the same hash after an update and stays connected.
        self._salts: dict[str, bytes] = {}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The broker's process, while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it where it does not run yet; returns when it takes connections.

        Raises:
            StartFailedError: not installed, the port is taken, the disk is full.
        """
        if self.pid is not None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_busy_port()
            self._write_users()
            command = self._configure()
            with self._log.open("wb") as log:
                child = self._child = start_child(command, log=log, folder=self.folder)
            with contextlib.suppress(StartFailedError):
                wait_until(lambda: child.poll() is not None or self._said(b" running"), START_SECONDS_MAX, "")
        except OSError as error:
            self.stop()
            raise refused_by_system(error, self.folder) from error
        except BaseException:
            self.stop()
            raise
        if child.poll() is not None or not self._said(b" running"):
            self.stop()
            raise self._failed()

    def stop(self) -> None:
        """End it; clients are cut. Nothing happens where none runs."""
        if self._child is not None:
            stop_child(self._child, signal.SIGTERM)
            self._child = None

    def kill(self) -> None:
        """End it the hard way, as a drill does; `start` brings it back on the same port."""
        if self._child is not None:
            stop_child(self._child, signal.SIGKILL)
            self._child = None

    def update_users(self, users: Sequence[BrokerUser]) -> None:
        """Let exactly `users` in from now on; one who is gone or has a new password is cut at once."""
        self._users = tuple(users)
        if self._child is None:
            return
        before = self._log.read_bytes().count(RELOADED)
        self._write_users()
        self._child.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self._log.read_bytes().count(RELOADED) > before,
            START_SECONDS_MAX,
            f"代理没有读取新的用户表，详情见 {self._log}。  |  "
            f"The broker did not read the new users, see {self._log}.",
        )

    @abstractmethod
    def _write_users(self) -> None:
        """Put the users' files in place, whole."""

    @abstractmethod
    def _configure(self) -> Sequence[str | Path]:
        """Write the configuration; returns the command."""

    def _password_hash(self, user: BrokerUser) -> str:
        salt = self._salts.setdefault(user.name, secrets.token_bytes(SALT_BYTES))
        return hash_password(user.password, salt)

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.kind}.log"

    def _said(self, words: bytes) -> bool:
        return words in self._log.read_bytes()

    def _refuse_busy_port(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise StartFailedError(
                    f"端口 {self.port}（{self.host}）不能使用：{error.strerror}；"
                    "请停止占用它的程序，或换一个端口。  |  "
                    f"Port {self.port} on {self.host} cannot be used ({error.strerror}); "
                    "stop the program that holds it, or choose another port."
                ) from error

    def _failed(self) -> StartFailedError:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        if is_disk_full(text, self.folder):
            return disk_full(self.folder)
        said = ["", *text.splitlines()][-1]
        return StartFailedError(
            f"代理 {self.kind} 未能启动，详情见 {self._log}：{said}  |  "
            f"The broker {self.kind} did not start, see {self._log}: {said}"
        )


class MosquittoBroker(Broker):
    """Debian's Mosquitto, the broker of production."""

    kind = "mosquitto"
    cannot_show = ()

    def _write_users(self) -> None:
        passwords = "".join(f"{user.name}:{self._password_hash(user)}\n" for user in self._users)
        put_file(self.folder / "passwords", passwords.encode(), 0o600)
        put_file(self.folder / "rights", acl_file(self._users).encode(), 0o600)

    def _configure(self) -> Sequence[str | Path]:
        program = find_mosquitto()
        if program is None:
            raise mosquitto_missing()
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous false",
            f"password_file {self.folder / 'passwords'}",
            f"acl_file {self.folder / 'rights'}",
            # Without it a lone event is answered after 44 ms.
            "set_tcp_nodelay true",
            # Events carry faces: the broker keeps them in memory only. What it loses the device sends again.
            "persistence false",
            "max_inflight_messages 200",
            "max_queued_messages 10000",
            "max_queued_bytes 67108864",
            f"message_size_limit {MESSAGE_BYTES_MAX}",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
        ]
        if os.geteuid() == 0:
            # Changing the user would clear the kernel's order to end with its parent.
            lines.append("user root")
        if self.tls is not None:
            lines += [
                f"certfile {self.tls.certificate}",
                f"keyfile {self.tls.key}",
                "tls_version tlsv1.2",
            ]
        configuration = self.folder / "mosquitto.conf"
        put_file(configuration, ("\n".join(lines) + "\n").encode(), 0o600)
        return [program, "-c", configuration]


class AmqttBroker(Broker):
    """amqtt, a broker in Python from the package index: enough for a demo without Mosquitto."""

    kind = "amqtt"
    cannot_show = (
        (
            "它每秒只能转发约两千条消息：这里的门口应答时间和吞吐量不代表 Mosquitto。  |  "
            "It forwards about two thousand messages a second: door answer times and throughput seen here "
            "say nothing about Mosquitto's."
        ),
        (
            "它为离线客户端保存的消息没有数量上限：看不到队列满时的表现。  |  "
            "It keeps messages for an absent client without any limit: what happens when that queue is full "
            "cannot be seen."
        ),
    )

    def _write_users(self) -> None:
        table = {
            user.name: {
                "password": self._password_hash(user),
                "reads": user.reads,
                "writes": user.writes,
            }
            for user in self._users
        }
        put_file(self.folder / "users.json", msgspec.json.encode(table), 0o600)

    def _configure(self) -> Sequence[str | Path]:
        options = {
            "host": self.host,
            "port": self.port,
            "users_file": str(self.folder / "users.json"),
            "message_bytes_max": MESSAGE_BYTES_MAX,
            "certificate": str(self.tls.certificate) if self.tls else None,
            "key": str(self.tls.key) if self.tls else None,
        }
        configuration = self.folder / "amqtt.json"
        put_file(configuration, msgspec.json.encode(options), 0o600)
        return [sys.executable, "-m", "estate.embedded.amqtt_server", configuration]


RELOADED = b"Reloading config."
KINDS: dict[Kind, type[Broker]] = {"mosquitto": MosquittoBroker, "amqtt": AmqttBroker}


def find_mosquitto() -> Path | None:
    """Mosquitto's program; Debian puts it where a normal user's PATH does not look."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("mosquitto", path=path)
    return Path(found) if found is not None else None


def mosquitto_missing() -> StartFailedError:
    """The error for a machine without Mosquitto where it was asked for."""
    return StartFailedError(
        "没有安装 Mosquitto；请执行 apt-get install mosquitto。  |  "
        "Mosquitto is not installed; install it: apt-get install mosquitto"
    )


def find_broker(
    folder: Path,
    port: int,
    users: Sequence[BrokerUser],
    tls: TlsFiles | None = None,
    *,
    host: str = "127.0.0.1",
    prefer: Kind | None = None,
) -> Broker:
    """The broker for this machine, not yet started: `prefer`, or else Mosquitto, or else amqtt."""
    kind = prefer or ("mosquitto" if find_mosquitto() is not None else "amqtt")
    return KINDS[kind](folder, port, users, tls, host=host)


def start_broker(
    folder: Path,
    port: int,
    users: Sequence[BrokerUser],
    tls: TlsFiles | None = None,
    *,
    host: str = "127.0.0.1",
    prefer: Kind | None = None,
) -> Broker:
    """`find_broker`, started.

    Raises:
        StartFailedError: what was preferred is not installed, the port is taken, the disk is full.
    """
    broker = find_broker(folder, port, users, tls, host=host, prefer=prefer)
    broker.start()
    return broker
