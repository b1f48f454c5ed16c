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
ESTATE, CITY = {"mosquitto", "gateway"}, {"postgres", "migrate", "backend", "worker"}


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
    assert reached == {("mosquitto", 8883, 8883), ("backend", 8443, 8443)}
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


@pytest.fixture(scope="module")
def city(machine: Any) -> Any:
    """The city's services, started in their order, each once the one before is healthy."""
    set_up_database(machine.services["postgres"])
    before = [machine.services[name].is_healthy() for name in ("postgres", "backend", "worker")]
    machine.services["postgres"].start()
    machine.services["postgres"].wait_healthy()
    machine.services["migrate"].run()
    for name in ("backend", "worker"):
        machine.services[name].start()
        machine.services[name].wait_healthy()
    assert before == [False] * 3
    return machine


@pytest.fixture(scope="module")
def estate(city: Any) -> Any:
    """The estate's services, registered with the city as the README says."""
    backend = city.services["backend"]
    backend.run("estate", "backend", "load-estates", "config/estates.toml")
    credential = backend.run(
        "estate", "backend", "gateway", "add", "gateway-pengjiang-1", "--estate", "pengjiang-1"
    )
    gateway = city.services["gateway"]
    (gateway.secrets / "backend_credential").write_text(credential)
    before = [city.services[name].is_healthy() for name in ("mosquitto", "gateway")]
    for name in ("mosquitto", "gateway"):
        city.services[name].start()
        city.services[name].wait_healthy()
    assert before == [False, False]
    return city


def set_up_database(database: Any) -> None:
    """What PostgreSQL's image does before its first start."""
    environment = database.environment
    for folder in (Path(environment["PGDATA"]), Path(environment["PGHOST"])):
        folder.mkdir(mode=0o700)
        if database.user is not None:
            os.chown(folder, pwd.getpwnam(database.user).pw_uid, pwd.getpwnam(database.user).pw_gid)
    subprocess.run(
        ["initdb", f"--pwfile={environment['POSTGRES_PASSWORD_FILE']}", "--username=postgres",
         *environment["POSTGRES_INITDB_ARGS"].split()],
        env=environment,
        user=pwd.getpwnam(database.user).pw_uid if database.user is not None else None,
        cwd=database.folder,
        check=True,
        capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["postgres", "backend", "worker"])
def test_a_city_service_passes_its_health_check(city: Any, name: str) -> None:
    assert city.services[name].is_healthy(), city.services[name].log


@pytest.mark.parametrize("name", ["mosquitto", "gateway"])
def test_an_estate_service_passes_its_health_check(estate: Any, name: str) -> None:
    assert estate.services[name].is_healthy(), estate.services[name].log


def test_migrating_again_changes_nothing(city: Any) -> None:
    city.services["migrate"].run()


def test_the_database_lets_nobody_in_without_a_password(city: Any) -> None:
    command = ["psql", "-h", city.services["backend"].here("/var/run/postgresql"), "-U", "postgres", "-w"]
    tried = subprocess.run(
        [*command, "-c", "SELECT 1"],
        env=city.services["postgres"].environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode != 0
    assert "no password supplied" in tried.stderr


def test_the_gateway_has_its_broker_and_its_city(estate: Any) -> None:
    page = estate.services["gateway"].here("http://127.0.0.1:9470/health")

    def health() -> Any:
        with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310 (a page of ours)
            return json.load(answer)

    wait_until(
        lambda: health()["broker"]["connected"] and health()["estates"][0]["roster_version"] > 0,
        20,
        f"no broker or no roster: {health()}",
    )
    found = health()
    assert found["estates"][0]["doors"] == 2
    assert all(link["ok"] for link in found["backend"].values()), found["backend"]
