"""Starts every real part of the system on this machine, in order, and stops it in the opposite one."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from estate.config import read_toml
from estate.embedded.authority import TlsFiles, issue, make_authority
from estate.embedded.broker import Broker, Kind, find_broker
from estate.embedded.estate_users import TOPIC_ROOT, DoorEntry, device_user, gateway_user
from estate.embedded.postgres import EmbeddedPostgres
from estate.processes import StartFailedError, port_answers, start_child, stop_child, wait_until
from simulators.demo.layout import Layout, Ports, random_word, write_private, write_private_json
from simulators.demo.people import RESIDENTS, import_file
from simulators.link import CuttableLink

GATEWAY_ID = "demo-gateway"
READY_WITHIN_S = 40.0
MOVED_IN_ON = date(2026, 1, 1)
ESTATE = (sys.executable, "-m", "estate")


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who can log in to the demo's pages."""

    name: str
    role: str
    password: str
    page: str


class Stack:
    """All processes of the demo; a context manager that leaves none of them behind.

    Args:
        layout: its folders.
        ports: where everything listens, on loopback.
        prefer_broker: mosquitto or amqtt; None takes Mosquitto where it is installed.
    """

    def __init__(self, layout: Layout, ports: Ports, prefer_broker: Kind | None = None) -> None:
        self.layout, self.ports = layout, ports
        self.link = CuttableLink(ports.uplink, ports.city)
        self.doors = read_doors(Path("config/estates.toml"))
        self.people: dict[str, str] = {}
        self.logins: tuple[Login, ...] = ()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._prefer_broker = prefer_broker
        self._cleanup = contextlib.ExitStack()
        self._environment = dict(os.environ) | {"ESTATE_DIE_WITH_PARENT": "1", "PYTHONUNBUFFERED": "1"}

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def pages_url(self) -> str:
        """Where people's browsers go."""
        return f"http://127.0.0.1:{self.ports.pages}"

    @property
    def channel_url(self) -> str:
        """Where the payment channel's stand-in is."""
        return f"http://127.0.0.1:{self.ports.channel}"

    @property
    def doors_url(self) -> str:
        """Where one can walk up to a simulated door."""
        return f"http://127.0.0.1:{self.ports.doors}"

    @property
    def kiosk_url(self) -> str:
        """Where faces are enrolled; browsers give a page on this machine the camera without https, too."""
        return f"http://127.0.0.1:{self.ports.kiosk}"

    @property
    def reader_dsn(self) -> str:
        """The database as the role that may only read."""
        password = (self.layout.secrets / "estate_reader").read_text("utf-8").strip()
        return self.postgres.dsn("estate", "estate_reader", password)

    # -- coming up, one stage after the other -------------------------------------------------

    def stages(self) -> Iterator[str]:
        """Bring everything up; yields what is being done, in plain words, before doing it."""
        yield "准备密钥和证书  |  secrets and certificates of this demo's own"
        self._prepare()
        yield "启动数据库  |  PostgreSQL"
        self._start_database()
        yield "建立小区、住户和账号  |  estates, residents and logins"
        self._load_people()
        yield "启动支付渠道模拟器和城市端  |  payment stand-in, backend and worker"
        self._start_city()
        yield "启动消息代理  |  broker"
        self._start_broker()
        yield "启动小区网关  |  gateway"
        self._start_gateway()
        self._write_addresses()
        yield f"连接 {len(self.doors)} 个门  |  connecting {len(self.doors)} doors"
        self._start_doors()

    def _prepare(self) -> None:
        self.layout.make()
        make_authority(self.layout.certificates)
        self._tls: TlsFiles = issue(self.layout.certificates, "estate", ["127.0.0.1", "localhost"])
        self.layout.secret("stripe_api_key", f"sk_test_{random_word(32)}")
        self.layout.secret("stripe_webhook_secret", f"whsec_{random_word(32)}")
        self.layout.secret("gateway_broker_password")

    def _start_database(self) -> None:
        self.postgres = EmbeddedPostgres(self.layout.root / "postgres")
        self._cleanup.enter_context(self.postgres)
        secrets = self.layout.secrets
        self._environment |= {
            f"ESTATE_BACKEND_{role.upper()}_{key}": value
            for role, user in (
                ("database", "estate_app"),
                ("owner", "estate_owner"),
                ("reader", "estate_reader"),
            )
            for key, value in (
                ("URL", self.postgres.dsn("estate", user)),
                ("PASSWORD_FILE", str(secrets / user)),
            )
        }
        self._environment |= {
            "ESTATE_BACKEND_SECRETS_SESSION_KEY_FILE": str(secrets / "session_key"),
            "ESTATE_BACKEND_SECRETS_MASTER_KEY_FILE": str(secrets / "master_key"),
            "ESTATE_BACKEND_PAYMENTS_STRIPE_API_BASE": self.channel_url,
            "ESTATE_BACKEND_PAYMENTS_STRIPE_API_KEY_FILE": str(secrets / "stripe_api_key"),
            "ESTATE_BACKEND_PAYMENTS_STRIPE_WEBHOOK_SECRET_FILE": str(secrets / "stripe_webhook_secret"),
            "ESTATE_BACKEND_PAYMENTS_CHECKOUT_ORIGINS": json.dumps([self.channel_url]),
            "ESTATE_BACKEND_SERVE_PORT": str(self.ports.pages),
            "ESTATE_BACKEND_SERVE_PUBLIC_URL": self.pages_url,
            # TOML, as every setting in the environment that is no text.
            "ESTATE_BACKEND_ENROLMENT_KIOSKS": "{"
            + ", ".join(f'"{estate}" = "{self.kiosk_url}"' for estate in self.estates)
            + "}",
        }
        self.run("backend", "bootstrap", "--superuser-url", self.postgres.dsn())
        self.run("backend", "migrate")

    def _load_people(self) -> None:
        write_private_json(self.layout.root / "people.json", import_file(MOVED_IN_ON))
        self.run("backend", "load-estates", "config/estates.toml")
        self.logins = (
            self._login("admin", "admin", "/operator/doors"),
            self._login("finance", "finance", "/finance/today"),
            self._login("guard", "operator", "/operator/doors"),
        )
        self.people = self.run_json(
            "backend", "import", str(self.layout.root / "people.json"), "--as", "admin"
        )
        tenants = tuple(
            self._login(resident.login, "tenant", "/my/rent") for resident in RESIDENTS if resident.login
        )
        self.logins = (*tenants, *self.logins)
        credential = self.layout.secrets / "gateway_credential"
        if not credential.exists():
            estates = [part for estate in self.estates for part in ("--estate", estate)]
            write_private(credential, self.run("backend", "gateway", "add", GATEWAY_ID, *estates))

    def _login(self, name: str, role: str, page: str) -> Login:
        """Make a login with a password that the demo chose; an existing one keeps its own."""
        password = self.layout.secret(f"login_{name}", random_word(8))
        file = str(self.layout.secrets / f"login_{name}")
        self.run("backend", "principal", "add", name, "--role", role, "--password-file", file)
        return Login(name, role, password, page)

    def _start_city(self) -> None:
        secrets = self.layout.secrets
        self._start(
            "channel",
            "simulate", "stripe", "--port", str(self.ports.channel),
            "--webhook", f"{self.pages_url}/webhooks/stripe",
            "--webhook-secret-file", str(secrets / "stripe_webhook_secret"),
            "--api-key-file", str(secrets / "stripe_api_key"),
        )  # fmt: skip
        self._start("pages", "backend", "serve")
        self._start("city", "backend", "serve", more=self._city_environment())
        self._start("worker", "backend", "work")
        for port in (self.ports.channel, self.ports.pages, self.ports.city):
            self._wait_port(port)
        self.link.restore()
        self._cleanup.callback(self.link.cut)

    def _city_environment(self) -> dict[str, str]:
        """The second web process: what gateways reach, over TLS signed by the demo's authority."""
        return {
            "ESTATE_BACKEND_SERVE_PORT": str(self.ports.city),
            "ESTATE_BACKEND_SERVE_WORKERS": "1",
            "ESTATE_BACKEND_SERVE_TLS_CERTIFICATE": str(self._tls.certificate),
            "ESTATE_BACKEND_SERVE_TLS_KEY": str(self._tls.key),
        }

    def _start_broker(self) -> None:
        password = self.layout.secret("gateway_broker_password")
        gateway = gateway_user(GATEWAY_ID, password, self.estates, self.doors)
        users = [
            gateway,
            *(device_user(door, self.layout.secret(f"door_{door.device}")) for door in self.doors),
        ]
        self.broker: Broker = find_broker(
            self.layout.root / "broker", self.ports.broker, users, self._tls, prefer=self._prefer_broker
        )
        self._cleanup.enter_context(self.broker)

    def _start_gateway(self) -> None:
        root, secrets = self.layout.root, self.layout.secrets
        authority = str(self._tls.authority)
        self.layout.secret("vault_key", base64.b64encode(os.urandom(32)).decode())
        self._environment |= {
            "ESTATE_GATEWAY_GATEWAY_ID": GATEWAY_ID,
            "ESTATE_GATEWAY_GATEWAY_ESTATES": json.dumps(self.estates),
            "ESTATE_GATEWAY_GATEWAY_STATE_FOLDER": str(root / "gateway"),
            "ESTATE_GATEWAY_BROKER_HOST": "127.0.0.1",
            "ESTATE_GATEWAY_BROKER_PORT": str(self.ports.broker),
            "ESTATE_GATEWAY_BROKER_USERNAME": GATEWAY_ID,
            "ESTATE_GATEWAY_BROKER_PASSWORD_FILE": str(secrets / "gateway_broker_password"),
            "ESTATE_GATEWAY_BROKER_TLS_CA_FILE": authority,
            "ESTATE_GATEWAY_BROKER_TOPIC_ROOT": TOPIC_ROOT,
            "ESTATE_GATEWAY_BACKEND_URL": f"https://127.0.0.1:{self.ports.uplink}",
            "ESTATE_GATEWAY_BACKEND_CREDENTIAL_FILE": str(secrets / "gateway_credential"),
            "ESTATE_GATEWAY_BACKEND_TLS_CA_FILE": authority,
            "ESTATE_GATEWAY_FACES_VAULT_KEY_FILE": str(secrets / "vault_key"),
            "ESTATE_GATEWAY_METRICS_PORT": str(self.ports.gateway),
            "ESTATE_GATEWAY_KIOSK_PORT": str(self.ports.kiosk),
        }
        self._start("gateway", "gateway", "run")
        self._start("kiosk", "gateway", "kiosk")
        self._wait_port(self.ports.gateway)
        self._wait_port(self.ports.kiosk)

    def _write_addresses(self) -> None:
        """Where everything is, for scripts; how to log in is in `secrets`."""
        addresses = {
            "pages": self.pages_url,
            "payment_channel": self.channel_url,
            "doors": self.doors_url,
            "kiosk": self.kiosk_url,
            "gateway": f"http://127.0.0.1:{self.ports.gateway}",
            "database": {"host": str(self.postgres.socket_folder), "dbname": "estate"},
        }
        write_private_json(self.layout.root / "addresses.json", addresses)

    def _start_doors(self) -> None:
        write_private_json(
            self.layout.fleet,
            {
                "broker": {
                    "host": "127.0.0.1",
                    "port": self.ports.broker,
                    "tls_ca_file": str(self._tls.authority),
                    "topic_root": TOPIC_ROOT,
                },
                "devices": [
                    {
                        "estate": door.estate,
                        "device": door.device,
                        "password": self.layout.secret(f"door_{door.device}"),
                        "cards": [resident.card for resident in RESIDENTS if resident.estate == door.estate],
                    }
                    for door in self.doors
                ],
            },
        )
        self._start(
            "doors", "simulate", "doors", "--file", str(self.layout.fleet),
            "--control", str(self.ports.doors), "--quiet-doors",
        )  # fmt: skip
        self._wait_port(self.ports.doors)

    # -- processes ----------------------------------------------------------------------------

    @property
    def estates(self) -> list[str]:
        """The configured estates, each once, in order."""
        return list(dict.fromkeys(door.estate for door in self.doors))

    def run(self, *arguments: str) -> str:
        """Run one `estate` command to its end; its output.

        Raises:
            StartFailedError: it failed, with what it said.
        """
        done = subprocess.run(
            [*ESTATE, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise StartFailedError(
                f"estate {' '.join(arguments[:3])}: {said[-1] if said else done.returncode}"
            )
        return done.stdout

    def run_json(self, *arguments: str) -> Any:
        """`run` for a command that prints a JSON document."""
        return json.loads(self.run(*arguments))

    def _start(self, name: str, *arguments: str, more: Mapping[str, str] | None = None) -> None:
        with (self.layout.logs / f"{name}.log").open("ab") as log:
            child = start_child(
                [*ESTATE, *arguments], log=log, environment=self._environment | dict(more or {})
            )
        self._children[name] = child
        self._cleanup.callback(stop_child, child, signal.SIGTERM)

    def _wait_port(self, port: int) -> None:
        def ready() -> bool:
            ended = [name for name, child in self._children.items() if child.poll() is not None]
            if ended:
                raise StartFailedError(self._why_ended(ended[0]))
            return port_answers(port)

        logs = self.layout.logs
        silent = f"端口 {port} 没有响应，详情见 {logs}  |  port {port} does not answer, see {logs}"
        wait_until(ready, READY_WITHIN_S, silent)

    def _why_ended(self, name: str) -> str:
        log = self.layout.logs / f"{name}.log"
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
        return (
            f"{name} 没有启动，详情见 {log}  |  {name} did not start, see {log}: {lines[-1] if lines else ''}"
        )


def read_doors(path: Path) -> tuple[DoorEntry, ...]:
    """The doors of the estates' configuration, which the backend checks in full when it loads it."""
    estates: Sequence[Mapping[str, Any]] = read_toml(path)["estate"]
    return tuple(
        DoorEntry(estate["id"], door["id"], door.get("protocol", "native"))
        for estate in estates
        for door in estate["door"]
    )
