"""A gateway's folder with real parts, for enrolling at it."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask.testing import FlaskClient

from gateway.city import card_key_name
from gateway.counter import Counter
from gateway.faces import VAULT_FILE
from gateway.kiosk.app import create_app
from gateway.roster import Item
from gateway.roster_store import RosterStore
from gateway.sealing import new_key
from gateway.settings import Settings, read_settings
from gateway.snapshots import SHELF_FILE, SnapshotShelf
from gateway.vault import Vault

NOW_S = 1_790_000_000
ESTATE_KEY = b"k" * 32


class Box:
    """An estate's box: configuration, vault with the estate's key, roster copy."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, key = folder, folder / "state", new_key()
        self.state.mkdir()
        self.config = folder / "gateway.toml"
        (folder / "key").write_bytes(base64.b64encode(key))
        self.config.write_text(
            f'[gateway]\nid = "g1"\nestates = ["e1"]\nstate_folder = "{self.state}"\n'
            f'[faces]\nvault_key_file = "{folder / "key"}"\n[kiosk]\nport = 0\n'
        )
        self.key = key
        with closing(self.vault()) as vault:
            vault.put_secret(card_key_name("e1"), ESTATE_KEY)
        self.roster()

    def vault(self) -> Vault:
        return Vault(self.state / VAULT_FILE, self.key)

    @property
    def settings(self) -> Settings:
        return read_settings(self.config)

    def shelf(self) -> SnapshotShelf:
        return SnapshotShelf(self.state / SHELF_FILE, self.key)

    def roster(self, faces: bool = True, **people: dict[str, Any]) -> None:
        """What the city last said."""
        documents: dict[tuple[str, str], dict[str, Any]] = {
            ("estate", "e1"): {"name_zh": "测", "name_en": "T", "faces": faces},
            ("door", "gate"): {"group": "g", "credentials": ["face", "card"], "name_zh": "大门"},
            ("door", "shed"): {"group": "g", "credentials": ["card"], "name_zh": "车棚"},
        }
        documents |= {("person", person): doc for person, doc in people.items()}
        with closing(RosterStore(self.state / "roster.db")) as store:
            items = [
                Item(kind, name, 1, json.dumps(doc).encode())  # type: ignore[arg-type]
                for (kind, name), doc in documents.items()
            ]
            store.save("e1", items, 1, anew=True)

    def enrolled(self) -> set[str]:
        with closing(self.vault()) as vault:
            return {one.person_id for one in vault.templates("e1")}


CONSENTS = {"face_consent": True}


def ticket(person: str, estate: str = "e1", key: bytes = ESTATE_KEY, expires_at: int = NOW_S + 60) -> str:
    body = json.dumps(
        {
            "v": 1,
            "estate": estate,
            "person": person,
            "operator": "clerk-1",
            "label": "陈某某",
            "expires_at": expires_at,
            "nonce": "n",
        }
    ).encode()
    signature = hmac.digest(key, b"enrolment ticket:" + body, "sha256")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (body, signature))


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command sends this process's logs where its own output goes; for its test only."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Box, Counter]]:
    """Loading the encoder takes seconds, so it is loaded once."""
    box = Box(tmp_path_factory.mktemp("box"))
    with Counter(box.settings, roster_wait_s=0) as counter:
        yield box, counter


@pytest.fixture
def box(shared: tuple[Box, Counter]) -> Box:
    """The box with nobody enrolled."""
    box, counter = shared
    for person in box.enrolled():
        counter.vault.erase(person, reason="the next test", now=datetime.now(UTC))
    return box


@pytest.fixture
def shelf(box: Box) -> Iterator[SnapshotShelf]:
    with closing(box.shelf()) as opened:
        yield opened


@pytest.fixture
def kiosk(shared: tuple[Box, Counter], shelf: SnapshotShelf) -> FlaskClient:
    return create_app(shared[1], shelf, lambda: {"e1": ESTATE_KEY}, lambda: NOW_S).test_client()
