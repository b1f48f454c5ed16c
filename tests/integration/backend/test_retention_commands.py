"""`estate backend` audit, retention, erasures, filing, person-file, notice, basis and vault-key."""

from __future__ import annotations

import io
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.db.guards import APP
from backend.settings import BackendSettings
from estate.config import SettingsError
from tests.integration.backend.conftest import Town
from tests.integration.backend.test_commands import Shell, logs_on_standard_error
from tests.integration.backend.test_erasures import withdraw
from tests.integration.conftest import PASSWORDS, Database

__all__ = ["logs_on_standard_error"]
NOBODY = str(uuid.uuid4())
NOTICE = """
version = {version}
handler = "示例中心"
contact = "0750-0000000"
purpose_text = "看望独居老人"
method = "只看有没有人进出"
retention = "三十天"
effect = "不同意也照常进出"
rights = "随时撤回"
"""


@pytest.fixture
def shell(database: Database, settings: BackendSettings, town: Town, tmp_path: Path) -> Shell:
    """A terminal at the town's database, and a login `root` for it."""
    town.add_login("root", "admin", None)
    (tmp_path / "app-password").write_text(PASSWORDS[APP])
    environment = {
        "ESTATE_BACKEND_DATABASE_URL": database.app_url,
        "ESTATE_BACKEND_DATABASE_PASSWORD_FILE": str(tmp_path / "app-password"),
        "ESTATE_BACKEND_SECRETS_SESSION_KEY_FILE": str(settings.secrets.session_key_file),
        "ESTATE_BACKEND_SECRETS_MASTER_KEY_FILE": str(settings.secrets.master_key_file),
    }
    return Shell(environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notice.toml").write_text(NOTICE.format(version=1))
    return tmp_path


def test_the_chain_is_verified_against_a_head_noted_earlier(shell: Shell, town: Town) -> None:
    town.resident()
    length, head = shell.ok("audit", "verify").split()
    assert int(length) > 0
    assert shell.ok("audit", "verify", "--head", head).split() == [length, head]
    assert "not in it" in shell.refused("audit", "verify", "--head", "0" * 64)


def test_a_hold_is_placed_listed_and_released(shell: Shell, town: Town) -> None:
    person_id = str(town.resident())
    hold_id = shell.ok(
        "retention", "hold", person_id, "--reason", "(2026)粤07民初1号", "--as", "root"
    ).strip()
    assert hold_id in shell.ok("retention", "holds")
    shell.ok("retention", "release", hold_id, "--as", "root")
    assert shell.ok("retention", "holds") == ""
    assert town.value("SELECT released_by IS NOT NULL FROM legal_hold")


def test_a_purge_prints_how_much_of_each_class_went_and_the_report_repeats_it(
    shell: Shell, town: Town
) -> None:
    town.resident()
    printed = shell.ok("retention", "run")
    assert "access_record" in printed
    assert "purged=0" in printed
    assert sorted(shell.ok("retention", "report").splitlines()) == sorted(printed.splitlines())


def test_an_open_erasure_says_what_it_waits_for(shell: Shell, town: Town) -> None:
    person_id = town.resident()
    withdraw(town, person_id)
    (line,) = shell.ok("erasures", "--open").splitlines()
    assert line.split("\t")[1] == str(person_id)
    assert line.split("\t")[-3:] == ["open", "-", "vault"]


def test_people_are_counted_and_the_pack_is_written(shell: Shell, town: Town, tmp_path: Path) -> None:
    town.resident()
    assert shell.ok("filing", "count").split("\t")[0] == "1"
    shell.ok("filing", "pack", str(tmp_path / "pack.zip"), "--as", "root")
    assert zipfile.ZipFile(tmp_path / "pack.zip").namelist()


def test_a_persons_file_is_written_and_the_look_is_audited(shell: Shell, town: Town, tmp_path: Path) -> None:
    person_id = str(town.resident())
    written = str(tmp_path / "person.zip")
    shell.ok("person-file", person_id, written, "--purpose", "person_request", "--as", "root")
    assert zipfile.ZipFile(io.BytesIO((tmp_path / "person.zip").read_bytes())).testzip() is None
    looks = town.rows("SELECT reason FROM audit_record WHERE action = 'export_person'")
    assert [tuple(one) for one in looks] == [("person_request",)]


def test_a_notice_is_published_once_and_a_basis_recorded(shell: Shell, town: Town, folder: Path) -> None:
    for _ in range(2):
        shell.ok("notice", "occupancy_care", str(folder / "notice.toml"), "--as", "root")
    assert town.value("SELECT count(*) FROM consent_notice WHERE purpose = 'occupancy_care'") == 1
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    arguments = (
        "basis",
        "east",
        "occupancy_care",
        "--basis",
        "江府〔2026〕1号",
        "--from",
        day,
        "--as",
        "root",
    )
    basis_id = uuid.UUID(shell.ok(*arguments).strip())
    assert town.value("SELECT basis_id FROM purpose_basis") == basis_id


def test_another_key_of_a_vault_is_registered(shell: Shell, town: Town) -> None:
    town.add_gateway("gw-east", "east")
    shell.ok("vault-key", "gw-east", "vault-2", "ab" * 32)
    assert (
        town.value("SELECT count(*) FROM vault_key WHERE public_key = decode(repeat('ab', 32), 'hex')") == 1
    )


WRONG: tuple[tuple[tuple[str, ...], str], ...] = (
    (("audit", "verify", "--head", "xyz"), "is not in it"),
    (("audit", "mend"), "No such command 'mend'"),
    (("retention", "hold", "chen", "--reason", "x", "--as", "root"), "'chen' is not a valid UUID"),
    (("retention", "hold", NOBODY, "--as", "root"), "Missing option '--reason'"),
    (("retention", "hold", NOBODY, "--reason", "x", "--as", "root"), "no person"),
    (("retention", "hold", NOBODY, "--reason", "x", "--as", "ghost"), "no login ghost"),
    (("retention", "release", NOBODY, "--as", "root"), "no hold"),
    (("filing", "pack", "/nowhere/pack.zip", "--as", "root"), "/nowhere/pack.zip"),
    (("filing", "pack", "NEW", "--as", "ghost"), "no login ghost"),
    (("person-file", NOBODY, "NEW", "--as", "root"), "Missing option '--purpose'"),
    (("person-file", NOBODY, "NEW", "--purpose", "gossip", "--as", "root"), "'gossip' is not one of"),
    (("person-file", NOBODY, "NEW", "--purpose", "proof", "--as", "root"), "no person"),
    (("person-file", "chen", "NEW", "--purpose", "proof", "--as", "root"), "'chen' is not a valid UUID"),
    (("notice", "advertising", "x.toml", "--as", "root"), "'advertising' is not one of"),
    (("notice", "occupancy_care", "missing.toml", "--as", "root"), "does not exist"),
    (("basis", "nowhere", "occupancy_care", "--basis", "x", "--from", "2026-01-01", "--as", "root"),
     "no estate nowhere"),
    (("basis", "east", "occupancy_care", "--basis", "x", "--from", "first of May", "--as", "root"),
     "first of May"),
    (("basis", "east", "occupancy_care", "--basis", "x", "--from", "2026-02-01", "--to", "2026-01-01",
      "--as", "root"), "never ends before"),
    (("vault-key", "gw-none", "v", "ab" * 32), "no gateway gw-none"),
    (("vault-key", "gw-east", "v", "abc"), "32 bytes in hex"),
    (("erasures", "--closed"), "No such option"),
)  # fmt: skip


def test_wrong_arguments_get_one_sentence(shell: Shell, tmp_path: Path) -> None:
    new = tmp_path / "new.zip"
    for arguments, words in WRONG:
        said = shell.refused(*(str(new) if one == "NEW" else one for one in arguments))
        assert words in said
        assert len(said.strip().splitlines()) == 1
        assert "Traceback" not in said
        assert not new.exists()


def test_a_notice_with_a_field_missing_is_refused(shell: Shell, tmp_path: Path) -> None:
    holes = tmp_path / "holes.toml"
    holes.write_text(NOTICE.format(version=1).replace('rights = "随时撤回"', ""))
    done = shell.run("notice", "occupancy_care", str(holes), "--as", "root")
    # In the command itself SettingsError becomes the sentence; see estate.cli.
    assert isinstance(done.exception, SettingsError)
    assert "rights" in str(done.exception)
