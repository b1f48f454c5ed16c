"""Our gateway for the harness of other gateways: events on `door/<device>/event`, answers on `…/reply`.

Run by hand, beside thingsboard-gateway:
`gateway_bench.py --peer command
--command 'PYTHON -m tests.benchmarks.peer --port {port} --state {work}/ours'`
with this repository as the working folder or in PYTHONPATH. The journal is on, as in an estate; the MQTT
session is kept by the broker. Its event is read as a card at a known door.
"""

from __future__ import annotations

import argparse
import gc
import hmac
import signal
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.assembly import ROSTER_FILE, assemble
from gateway.commands import GARBAGE_THRESHOLDS, SWITCH_INTERVAL_S
from gateway.drivers import Address, DoorEvent, DriverContext, Message, Reading, Rejected, choice
from gateway.drivers.commands import Command
from gateway.matching.templates import StoredTemplate
from gateway.messages import AnswerItem
from gateway.photographs import Photographer
from gateway.roster import Item
from gateway.roster_store import RosterStore
from gateway.settings import BrokerSection, GatewaySection, JournalSection, MetricsSection, Settings

ESTATE, CARD, KEY, DOORS = "peer", "card-of-the-bench", bytes(32), 50


class _Event(Struct, frozen=True):
    event_id: str = msgspec.field(name="eventId")


class PeerDriver:
    """Reads the harness's event as a card that is shown now."""

    name = "peer"

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Event).decode

    def filters(self, estates: Iterable[str]) -> list[str]:
        """One for all doors."""
        return ["door/+/event"] if ESTATE in set(estates) else []

    def owns(self, topic: str) -> bool:
        """Whether it is a door of the harness."""
        return topic.startswith("door/")

    def read(self, topic: str, payload: bytes) -> Reading:
        """One event."""
        address = Address(ESTATE, topic.split("/")[1])
        try:
            event_id = self._decode(payload).event_id
        except msgspec.MsgspecError:
            return Rejected(address, "unreadable", len(payload))
        return DoorEvent(address, event_id, datetime.now(UTC).timestamp(), "card", card=CARD)

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[Message]:
        """One reply for each event that is answered, or confirmed again."""
        told = dict.fromkeys([*(answer.id for answer in answers), *recorded])
        return [(f"door/{address.device}/reply", event_id.encode()) for event_id in told]

    def command(self, address: Address, command: Command) -> list[Message]:  # noqa: ARG002
        """The harness's doors take none."""
        return []

    def opening_id(self, event_id: str) -> str | None:  # noqa: ARG002
        """Nor do they acknowledge openings."""
        return None


class _Keys:
    """A vault with nobody in it."""

    def templates(self, estate_id: str) -> list[StoredTemplate]:  # noqa: ARG002
        return []

    def data_version(self) -> int:
        return 0

    def secret(self, name: str) -> bytes | None:  # noqa: ARG002
        return KEY

    def put_secret(self, name: str, value: bytes) -> None:
        raise AssertionError((name, len(value)))


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    chosen = parser.parse_args()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _fill_roster(chosen.state)
    choice.BUILT_IN = {**choice.BUILT_IN, PeerDriver.name: _make}
    settings = Settings(
        GatewaySection("peer", [ESTATE], str(chosen.state)),
        BrokerSection(port=chosen.port),
        journal=JournalSection(),
        metrics=MetricsSection(port=0),
    )
    vault: Any = _Keys()
    service = assemble(settings, vault=vault, photographer=Photographer(None))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()


def _make(context: DriverContext) -> PeerDriver:
    return PeerDriver()


def _fill_roster(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    reference = hmac.digest(KEY, b"card:" + CARD.encode(), "sha256").hex()
    person = {
        "rights": [{"group": "g", "from": "2020-01-01T00:00:00Z", "to": None}],
        "cards": [{"hmac": reference}],
    }
    documents: list[tuple[Any, str, dict[str, Any]]] = [
        ("estate", ESTATE, {"name_zh": "同类", "name_en": "peer", "faces": False}),
        ("person", "11111111-1111-4111-8111-111111111111", person),
    ]
    door = {"group": "g", "credentials": ["card"], "protocol": PeerDriver.name}
    documents += [("door", name, door) for name in _doors()]
    store = RosterStore(folder / ROSTER_FILE)
    items = [
        Item(kind, name, place, msgspec.json.encode(doc))
        for place, (kind, name, doc) in enumerate(documents, 1)
    ]
    store.save(ESTATE, items, len(items), anew=True)
    store.close()


def _doors() -> list[str]:
    return [f"door-{number:02d}" for number in range(DOORS)]


if __name__ == "__main__":
    main()
