"""Runs the services of docker-compose.yml as local processes, as their containers would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from estate.embedded.postgres_programs import find_programs
from estate.processes import free_port, start_child, stop_child, wait_until

ROOT = Path(__file__).resolve().parents[3]
SERVER_USER = "nobody" if os.geteuid() == 0 else None
CONTAINER_PORTS = ("8883", "8443", "8444", "9470")


def read_compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yml as docker-compose itself reads it, both profiles, with `environment` filled in."""
    said = subprocess.run(
        ["docker-compose", "--profile", "estate", "--profile", "city", "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    read: dict[str, Any] = yaml.safe_load(said.stdout.replace("$$", "$"))
    return read


@dataclass
class LocalService:
    """One service, with its container's paths, hosts and ports put in their places on this machine."""

    name: str
    definition: dict[str, Any]
    folder: Path
    places: dict[str, str]
    user: str | None = None
    more: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def here(self, text: str) -> str:
        """A container's text as it has to be on this machine."""
        text = text.replace("/run/secrets", str(self.secrets))
        for place, local in self.places.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(place)}(?![\w-])", local, text)
        return text

    @property
    def secrets(self) -> Path:
        """What /run/secrets would be: only the secrets that this service is given."""
        return self.folder / f"secrets-{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        given = {name: self.here(str(value)) for name, value in self.definition["environment"].items()}
        path = os.pathsep.join([*self.more.get("PATH", "").split(), str(Path(sys.executable).parent)])
        path += ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"HOME": str(self.folder), "LANG": "C.UTF-8", **given, **self.more, "PATH": path}

    def place_secrets(self, declared: Mapping[str, dict[str, str]], prepared: Path) -> None:
        """Put the files of this service's secrets where it looks for them."""
        self.secrets.mkdir(mode=0o711)
        self.secrets.chmod(0o711)
        for secret in self.definition.get("secrets", []):
            source = Path(declared[secret["source"]]["file"]).relative_to(ROOT / "deploy" / "secrets")
            target = self.secrets / secret.get("target", secret["source"])
            target.write_text(self.here((prepared / source).read_text()))
            target.chmod(0o644 if self.user is not None else 0o600)

    @property
    def command(self) -> list[str]:
        return [self.here(part) for part in self.definition["command"]]

    def start(self) -> None:
        """Start its command, as a container would."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = start_child(
                self.command, log=log, environment=self.environment, folder=ROOT, user=self.user
            )

    def run(self, *command: str) -> str:
        """Run another command in its place, as `docker-compose run` does; what it printed."""
        said = subprocess.run(
            command or self.command,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    def is_healthy(self) -> bool:
        """What its container's health check would say now."""
        kind, *test = [self.here(part) for part in self.definition["healthcheck"]["test"]]
        command = {"CMD": test, "CMD-SHELL": ["/bin/sh", "-c", *test]}[kind]
        pid = {"MAIN_PROCESS": str(self.process.pid)} if self.process is not None else {}
        checked = subprocess.run(
            command, env=self.environment | pid, cwd=ROOT, capture_output=True, check=False, timeout=30
        )
        return checked.returncode == 0

    def wait_healthy(self) -> None:
        """Wait until the health check passes; a service that ended says why."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            return self.is_healthy()

        wait_until(ready, 60, f"{self.name} did not become healthy", every_s=0.2)

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """End it as its container would be."""
        if self.process is not None:
            stop_child(self.process, signal.Signals[self.definition.get("stop_signal", "SIGTERM")])
            self.process = None


@dataclass
class LocalMachine:
    """Both profiles on this machine."""

    services: dict[str, LocalService]
    folder: Path
    city_url: str

    def stop(self) -> None:
        """Stop all, those that need others first."""
        for name in ("kiosk", "gateway", "mosquitto", "worker", "backend", "postgres"):
            self.services[name].stop()


def prepare(folder: Path, *arguments: str) -> None:
    """Run deploy/prepare.py."""
    command = [sys.executable, ROOT / "deploy" / "prepare.py", *arguments, "--folder", folder]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The file as docker-compose reads it where nothing is set."""
    return read_compose({})


@pytest.fixture(scope="session")
def machine(database_folder: Path) -> Iterator[LocalMachine]:
    """The services of both profiles with their secrets in place; none of them started."""
    folder = database_folder / "compose"
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)
    prepared = folder / "prepared"
    prepare(prepared, "estate", "--estate", "pengjiang-1")
    prepare(prepared, "city")
    ports = {port: str(free_port()) for port in CONTAINER_PORTS}
    # What people bring: the payment channel's keys, and what the city told the estate.
    (prepared / "city" / "stripe_api_key").write_text("sk_test_invented\n")
    (prepared / "city" / "stripe_webhook_secret").write_text("whsec_invented\n")
    (prepared / "estate" / "backend_credential").write_text("filled in by the city\n")
    (prepared / "estate" / "backend_authority.crt").write_bytes(
        (prepared / "city" / "authority.crt").read_bytes()
    )
    city_url = f"https://localhost:{ports['8443']}"
    read = read_compose({"ESTATE_ID": "pengjiang-1", "CITY_URL": city_url})
    programs = find_programs(None, folder, SERVER_USER)
    configuration = folder / "mosquitto.conf"
    places = {
        **ports,
        "0.0.0.0": "127.0.0.1",  # noqa: S104 (a container's own address; here nobody else shall reach it)
        "/var/run/postgresql": str(folder / "sockets"),
        "/var/lib/estate": str(folder / "gateway-state"),
        "/mosquitto/config/mosquitto.conf": str(configuration),
        "/app": str(ROOT),
    }
    services = {
        name: LocalService(name, definition, folder, places) for name, definition in read["services"].items()
    }
    database = services["postgres"]
    database.user = SERVER_USER
    database.more = {
        "PGDATA": str(folder / "data"),
        "PATH": f"{programs} {find_programs(None, folder, None)}",
    }
    services["gateway"].definition["environment"]["ESTATE_GATEWAY_BROKER_HOST"] = "127.0.0.1"
    for service in services.values():
        service.place_secrets(read["secrets"], prepared)
    text = services["mosquitto"].here((ROOT / "deploy" / "mosquitto.conf").read_text())
    text = re.sub(r"(?m)^(listener \d+)$", r"\1 127.0.0.1", text)
    configuration.write_text(text + ("user root\n" if os.geteuid() == 0 else ""))
    found = LocalMachine(services, folder, city_url)
    yield found
    found.stop()
