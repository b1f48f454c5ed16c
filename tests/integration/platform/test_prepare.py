import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from estate.embedded.broker import MosquittoBroker
from estate.embedded.broker_users import is_password

ROOT = Path(__file__).resolve().parents[3]
# What other people bring.
BROUGHT = {
    "estate/backend_credential",
    "estate/backend_authority.crt",
    "city/stripe_api_key",
    "city/stripe_webhook_secret",
}


def prepare(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, ROOT / "deploy" / "prepare.py", *arguments, "--folder", folder]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    for arguments in (["estate", "--estate", "pengjiang-1", "--host", "192.168.1.10"], ["city"]):
        assert prepare(folder, *arguments).returncode == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_makes_every_secret_that_compose_names_but_those_that_people_bring(
    prepared: Path, compose: dict[str, Any]
) -> None:
    wanted = {
        str(Path(secret["file"]).relative_to(ROOT / "deploy" / "secrets"))
        for secret in compose["secrets"].values()
    }
    assert wanted - set(files(prepared)) == BROUGHT


def test_it_says_what_is_still_to_be_placed(tmp_path: Path) -> None:
    said = prepare(tmp_path, "city").stdout
    assert "stripe_api_key" in said
    (tmp_path / "city" / "stripe_api_key").write_text("sk\n")
    assert "stripe_api_key" not in prepare(tmp_path, "city").stdout


def test_running_it_again_changes_no_secret(prepared: Path) -> None:
    before = files(prepared)
    prepare(prepared, "estate", "--estate", "pengjiang-1", "--host", "192.168.1.10")
    prepare(prepared, "city")
    # Hashes have a new salt each time; what they are of stays.
    assert {name for name, content in files(prepared).items() if content != before.get(name)} <= {
        "estate/broker_passwords"
    }


def test_run_again_by_somebody_who_may_not_read_them_it_says_so(tmp_path: Path) -> None:
    prepare(tmp_path, "city")
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:  # a root to whom other people's files are closed
        before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    else:  # as if it belonged to the container's user
        (tmp_path / "city" / "postgres_superuser").chmod(0)
    said = prepare(tmp_path, "city", before=before)
    assert said.returncode == 1
    assert "sudo" in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_nobody_else_may_read_the_secrets_and_git_does_not_take_them(prepared: Path) -> None:
    for file in prepared.rglob("*"):
        if file.is_file() and file.suffix != ".crt" and file.name != ".gitignore":
            assert file.stat().st_mode & 0o077 == 0, file
    assert (prepared / "estate" / ".gitignore").read_text() == "*\n"
    assert (prepared / "city" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("owner", [999, 1883] if os.geteuid() == 0 else [os.geteuid()])
def test_each_containers_user_owns_its_secrets(prepared: Path, owner: int) -> None:
    owned = {str(file.relative_to(prepared)) for file in prepared.rglob("*") if file.stat().st_uid == owner}
    assert owned >= {999: {"city/master_key"}, 1883: {"estate/broker.key"}}.get(owner, {"city/master_key"})


def test_every_door_has_its_own_password_and_only_its_own_topics(prepared: Path) -> None:
    hashes = dict(
        line.split(":") for line in (prepared / "estate" / "broker_passwords").read_text().splitlines()
    )
    doors = {file.name: file.read_text().strip() for file in (prepared / "estate" / "devices").iterdir()}
    assert set(doors) == {"pengjiang-1-gate", "pengjiang-1-a"}
    assert len(set(doors.values())) == 2
    assert set(hashes) == {*doors, "gateway-pengjiang-1", "health"}
    assert all(is_password(password, hashes[door]) for door, password in doors.items())
    rights = (prepared / "estate" / "broker_rights").read_text()
    of_gate = re.search(r"user pengjiang-1-gate\n((?:topic .*\n)*)", rights)
    assert of_gate is not None
    assert set(of_gate[1].splitlines()) == {
        "topic read estate/pengjiang-1/pengjiang-1-gate/answer",
        "topic read estate/pengjiang-1/pengjiang-1-gate/command",
        "topic write estate/pengjiang-1/pengjiang-1-gate/event",
        "topic write estate/pengjiang-1/pengjiang-1-gate/status",
    }


def test_a_deleted_password_is_made_anew(tmp_path: Path) -> None:
    prepare(tmp_path, "estate", "--estate", "pengjiang-1")
    password = tmp_path / "estate" / "devices" / "pengjiang-1-gate"
    before = password.read_text()
    password.unlink()
    prepare(tmp_path, "estate", "--estate", "pengjiang-1")
    assert password.read_text() != before
    assert len(password.read_text()) > 40


@pytest.mark.parametrize("name", ["estate/vault_key", "city/master_key"])
def test_a_key_has_256_bits(prepared: Path, name: str) -> None:
    assert len(base64.b64decode((prepared / name).read_text())) == 32


def test_an_unknown_estate_is_one_sentence(tmp_path: Path) -> None:
    said = prepare(tmp_path, "estate", "--estate", "nowhere")
    assert said.returncode == 1
    assert "nowhere" in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_an_estate_without_its_id_is_a_usage_error(tmp_path: Path) -> None:
    said = prepare(tmp_path, "estate")
    assert said.returncode == 2
    assert not (tmp_path / "estate" / "broker_rights").exists()


def test_the_brokers_limits_are_those_that_the_tests_run_with(servers_folder: Path) -> None:
    with MosquittoBroker(servers_folder / "limits", 0, ()):
        embedded = directives(servers_folder / "limits" / "mosquitto.conf")
    deployed = directives(ROOT / "deploy" / "mosquitto.conf")
    same = {
        "allow_anonymous",
        "set_tcp_nodelay",
        "persistence",
        "max_inflight_messages",
        "max_queued_messages",
        "max_queued_bytes",
        "message_size_limit",
    }
    assert {name: deployed[name] for name in same} == {name: embedded[name] for name in same}


def directives(file: Path) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in file.read_text().splitlines()]
    return dict(line for line in lines if line and not line[0].startswith("#"))
