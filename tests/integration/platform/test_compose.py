import json
import os
import pwd
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from estate.processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
ESTATE, CITY = {"mosquitto", "gateway", "kiosk"}, {"postgres", "migrate", "backend", "worker"}


def test_each_profile_has_its_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name for name, service in services.items() if service["profiles"] == ["estate"]} == ESTATE
    assert {name for name, service in services.items() if service["profiles"] == ["city"]} == CITY


@pytest.mark.parametrize("profile", ["estate", "city"])
def test_docker_compose_accepts_each_profile_by_itself(profile: str) -> None:
    said = subprocess.run(
        ["docker-compose", "--profile", profile, "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY|CREDENTIAL|TOKEN", name):
                assert str(value).startswith("/run/secrets/"), name
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())


def test_every_secret_is_given_to_somebody_and_every_file_named_is_given(compose: dict[str, Any]) -> None:
    given = {}
    for name, service in compose["services"].items():
        for secret in service.get("secrets", []):
            given.setdefault(name, set()).add(secret.get("target", secret["source"]))
    sources = {
        secret["source"] for service in compose["services"].values() for secret in service.get("secrets", [])
    }
    assert sources == set(compose["secrets"])
    for name, service in compose["services"].items():
        text = json.dumps([service["environment"], service["command"]])
        if name == "mosquitto":
            text += (ROOT / "deploy" / "mosquitto.conf").read_text()
        assert set(re.findall(r"/run/secrets/(\w+)", text)) <= given[name], name


def test_only_who_needs_it_holds_the_superusers_password(compose: dict[str, Any]) -> None:
    holders = {
        name
        for name, service in compose["services"].items()
        if "postgres_superuser" in {secret["source"] for secret in service.get("secrets", [])}
    }
    assert holders == {"postgres", "migrate"}


def test_the_worker_alone_writes_packs_and_the_pages_read_them(compose: dict[str, Any]) -> None:
    folder = "/var/lib/estate-packs"
    mounted = {
        name: volume
        for name, service in compose["services"].items()
        for volume in service.get("volumes", [])
        if volume.startswith("packs:")
    }
    assert mounted == {"worker": f"packs:{folder}:rw", "backend": f"packs:{folder}:ro"}
    for name in mounted:
        assert compose["services"][name]["environment"]["ESTATE_BACKEND_CLOSING_PACKS_FOLDER"] == folder
    # A new volume takes its owner from the image: whom the worker runs as.
    assert f"install -d -o estate -g estate -m 0700 {folder}" in (ROOT / "backend" / "Dockerfile").read_text()


def test_every_service_is_locked_down(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_only_doors_and_browsers_reach_in_and_only_over_tls(compose: dict[str, Any]) -> None:
    reached = {
        (name, port["published"], port["target"])
        for name, service in compose["services"].items()
        for port in service.get("ports", [])
    }
    assert reached == {
        ("mosquitto", 8883, 8883),
        ("gateway", 8445, 8445),
        ("kiosk", 8444, 8444),
        ("backend", 8443, 8443),
    }
    assert compose["services"]["postgres"]["network_mode"] == "none"


@pytest.mark.parametrize(("name", "lock"), [("gateway", "estate"), ("backend", "city")])
def test_an_image_runs_what_compose_runs_as_nobody_in_particular(
    compose: dict[str, Any], name: str, lock: str
) -> None:
    lines = (ROOT / name / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith((" ", "#"))]
    last = dict(instructions)
    assert json.loads(last["CMD"]) == compose["services"][name]["command"]
    test = compose["services"][name]["healthcheck"]["test"]
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2]) == test[1:]
    assert last["USER"] == "999:999"
    installs = [
        part for word, rest in instructions if word == "RUN" for part in rest.split("&&") if "pip" in part
    ]
    assert len(installs) == 3
    assert all("--no-deps" in install for install in installs)
    for install, wanted in zip(installs, ("locks/build.txt", f"locks/{lock}.txt"), strict=False):
        assert "--require-hashes" in install
        assert "--only-binary :all:" in install
        assert install.split()[-1] == wanted
    for word, rest in instructions:
        if word == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), rest
    assert all(rest.startswith("python:3.11-slim") for word, rest in instructions if word == "FROM")


def test_images_are_built_without_secrets_or_data() -> None:
    kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not [line for line in kept if "secrets" in line or "var" in line or line == "!deploy/"]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.timeout(400)  # eight programs, on a machine that may have other things to do
def test_every_service_starts_and_passes_its_health_check(machine: Any) -> None:
    """One test, so that the services are started once; a step that fails names itself."""
    services = machine.services
    set_up_database(services["postgres"])
    start(services["postgres"])
    services["migrate"].run()
    services["migrate"].run()  # as at every later start
    refuse_without_password(services["postgres"])
    start(services["backend"])
    start(services["worker"])
    register_gateway(services["backend"], services["gateway"])
    start(services["mosquitto"])
    start(services["gateway"])
    wait_until(
        lambda: is_at_work(services["gateway"]),
        20,
        f"it has no broker or no roster: {ask(services['gateway'])}",
    )
    start(services["kiosk"])
    assert all(services[name].is_healthy() for name in ESTATE | CITY - {"migrate"})


def start(service: Any) -> None:
    """Start it; its health check must have failed before, and pass then."""
    assert not service.is_healthy(), f"the check of {service.name} does not depend on it"
    service.start()
    service.wait_healthy()


def set_up_database(database: Any) -> None:
    """What PostgreSQL's image does before its first start."""
    environment = database.environment
    owner = pwd.getpwnam(database.user) if database.user is not None else None
    for folder in (Path(environment["PGDATA"]), Path(environment["PGHOST"])):
        folder.mkdir(mode=0o700)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    arguments = environment["POSTGRES_INITDB_ARGS"].split()
    subprocess.run(
        ["initdb", f"--pwfile={environment['POSTGRES_PASSWORD_FILE']}", "--username=postgres", *arguments],
        env=environment,
        user=owner.pw_uid if owner is not None else None,
        cwd=database.folder,
        check=True,
        capture_output=True,
    )


def refuse_without_password(database: Any) -> None:
    """The services share the database's socket: nobody may be its superuser for that."""
    tried = subprocess.run(
        ["psql", "-U", "postgres", "-w", "-c", "SELECT 1"],
        env=database.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode != 0
    assert "no password supplied" in tried.stderr


def register_gateway(backend: Any, gateway: Any) -> None:
    """What deploy/README.md says to do once."""
    backend.run("estate", "backend", "load-estates", "config/estates.toml")
    credential = backend.run(
        "estate", "backend", "gateway", "add", "gateway-pengjiang-1", "--estate", "pengjiang-1"
    )
    (gateway.secrets / "backend_credential").write_text(credential)


def ask(gateway: Any) -> Any:
    """What the gateway says of itself."""
    page = gateway.here("http://127.0.0.1:9470/health")
    with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310 (a page of ours)
        return json.load(answer)


def is_at_work(gateway: Any) -> bool:
    """Whether it has its broker, and its two doors from the city."""
    found = ask(gateway)
    links = all(link["ok"] for link in found["backend"].values())
    return bool(found["broker"]["connected"] and links and found["estates"][0]["doors"] == 2)
