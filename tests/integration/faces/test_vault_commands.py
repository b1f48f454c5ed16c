"""The vault's commands from outside: what a clerk and an operator type."""

import base64
import json
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.erasure import ErasureCertificate
from gateway.faces import VAULT_FILE
from gateway.roster import Item
from gateway.roster_store import RosterStore
from gateway.sealing import new_key
from gateway.vault import Vault
from gateway.vault_commands import vault
from tests.integration.faces.test_vault import NOW, fill
from tests.unit.faces.people import enrolled, make_centres


class Box:
    """A gateway's folder with a configuration, a key, a roster copy and a vault."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.key = folder, folder / "state", new_key()
        self.key_file = folder / "key"
        self.key_file.write_bytes(base64.b64encode(self.key))
        self.state.mkdir()
        self.write_config(self.key_file)

    def write_config(self, key_file: Path) -> None:
        (self.folder / "gateway.toml").write_text(
            f'[gateway]\nid = "g1"\nestates = ["e1"]\nstate_folder = "{self.state}"\n'
            f'[faces]\nvault_key_file = "{key_file}"\n'
        )

    def consent(self, *people: str) -> None:
        with closing(RosterStore(self.state / "roster.db")) as store:
            items = [Item("person", person, 1, b'{"face_consent":true}') for person in people]
            store.save("e1", items, 1, anew=True)

    def open(self) -> Vault:
        return Vault(self.state / VAULT_FILE, self.key)

    def run(self, command: str, *arguments: object) -> Result:
        words = [command, "--config", str(self.folder / "gateway.toml"), *map(str, arguments)]
        return CliRunner().invoke(vault, words)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    with closing(made.open()) as opened:
        fill(opened, 4)
    return made


def test_erase_prints_a_certificate_that_holds(box: Box) -> None:
    done = box.run("erase", "--person", "p2", "--reason", "consent withdrawn")
    assert done.exit_code == 0, done.output
    certificate = msgspec.json.decode(done.output, type=ErasureCertificate)
    with closing(box.open()) as opened:
        assert certificate.holds(opened.public_key)
        assert [person.person_id for person in opened.templates("e1")] == ["p0", "p1", "p3"]
    assert certificate.erasure.reason == "consent withdrawn"
    assert json.loads(certificate.signed)["templates"] == 1


def test_rotate_makes_the_new_key_file_first_and_can_be_run_again(box: Box) -> None:
    new = box.folder / "new-key"
    assert box.run("rotate", "--new-key-file", new).exit_code == 0
    assert new.stat().st_mode & 0o077 == 0
    refused = box.run("report", "--estate", "e1")
    assert isinstance(refused.exception, SettingsError)
    box.write_config(new)
    box.key = base64.b64decode(new.read_bytes())
    with closing(box.open()) as opened:
        assert len(opened.templates("e1")) == 4
    again = box.run("rotate", "--new-key-file", new)
    assert again.exit_code == 0
    with closing(box.open()) as opened:
        assert len(opened.templates("e1")) == 4


def test_a_restore_brings_back_only_live_consents(box: Box) -> None:
    assert box.run("back-up", "--folder", box.folder).exit_code == 0
    box.consent("p0", "p3")
    parts = ("--rows", box.folder / "vault-rows.db", "--keys", box.folder / "vault-keys.db")
    there = box.run("restore", *parts)
    assert isinstance(there.exception, StartFailedError)
    (box.state / VAULT_FILE).unlink()
    done = box.run("restore", *parts)
    assert done.exit_code == 0, done.output
    assert "2 people restored; 2 left out" in done.output
    with closing(box.open()) as opened:
        assert [person.person_id for person in opened.templates("e1")] == ["p0", "p3"]


def test_the_report_counts_people_and_names_nobody(box: Box) -> None:
    random = np.random.default_rng(1)
    with closing(box.open()) as opened:
        for person in enrolled(make_centres(200, random), random):
            opened.store("e1", f"resident-{person.person_id}", person.views, person.encoder, NOW)
        opened.store("e1", "twin", opened.templates("e1")[10].views, "another/128", NOW)
    done = box.run("report", "--estate", "e1")
    assert done.exit_code == 0, done.output
    assert "204 people enrolled" in done.output
    assert "1 templates of other encoders" in done.output
    assert "strangers let in: " in done.output
    assert "resident-" not in done.output
    assert "p1" not in done.output


def test_the_report_of_a_few_people_says_that_they_are_few(box: Box) -> None:
    done = box.run("report", "--estate", "e1")
    assert done.exit_code == 0, done.output
    assert "thresholds from the table" in done.output
    assert "too few people" in done.output


def test_the_report_of_nobody_is_short(box: Box) -> None:
    for number in range(4):
        box.run("erase", "--person", f"p{number}", "--reason", "test")
    done = box.run("report", "--estate", "e1")
    assert done.exit_code == 0
    assert "0 people" in done.output


def test_without_a_key_the_setting_is_named(box: Box) -> None:
    (box.folder / "gateway.toml").write_text(
        f'[gateway]\nid = "g1"\nestates = ["e1"]\nstate_folder = "{box.state}"\n'
    )
    done = box.run("report", "--estate", "e1")
    assert isinstance(done.exception, SettingsError)
    assert done.exception.key == "faces.vault_key_file"
