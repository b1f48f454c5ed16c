"""A million generated payloads for the native protocol: no crash, no opening, no lost neighbour."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.drivers import Rejected
from gateway.drivers.native import NativeDriver
from tests.drill.conftest import Drill
from tests.unit.gateway.mutations import mutations
from tests.unit.gateway.stage import ESTATE, Stage, card

SAMPLES = Path(__file__).resolve().parents[1] / "contracts/native"
PAYLOADS = {3: 20_000, 50: 1_000_000}  # by the drill's kills: the short and the long form
TOGETHER = 50  # in one batch, with a resident's card in the middle


@pytest.mark.timeout(3_600)
def test_no_generated_payload_opens_a_door_or_costs_a_neighbour_the_way_in(drill: Drill) -> None:
    stage, driver = Stage(), NativeDriver("estate")
    stage.pass_by(60)
    # A fire opens everything, as it should: its samples are tried elsewhere.
    corpus = [
        (f"estate/{ESTATE}/gate/{leaf}", path.read_bytes())
        for leaf in ("event", "status")
        for path in sorted(SAMPLES.glob(f"{leaf}/*/*.json"))
        if b"fire" not in path.read_bytes() and path.read_bytes().strip().startswith(b"{")
    ]
    corpus = [(topic, payload) for topic, payload in corpus if not payload.rstrip().endswith(b",")]
    expected: Counter[str] = Counter()
    for number in range(0, PAYLOADS[drill.kills], TOGETHER):
        batch: list[tuple[str, bytes]] = []
        while len(batch) < TOGETHER:
            topic, sample = drill.choice.choice(corpus)
            try:
                [payload] = mutations(sample, drill.choice, 1)
            except ValueError:
                continue  # a sample that is no JSON itself
            batch.append((topic, payload))
            reading = driver.read(topic, payload)
            if isinstance(reading, Rejected):
                assert reading.reason
                expected[reading.reason] += 1
        mine = f"mine-{number}"
        stage.take(*batch[: TOGETHER // 2], stage.message(card(mine)), *batch[TOGETHER // 2 :])
        stage.write()
        assert stage.openings(mine) == 1
        opened = [event for event in stage.answers if stage.openings(event) and not event.startswith("mine-")]
        assert opened == []
        stage.answers.clear()
        stage.confirmed.clear()
        stage.disk.records.clear()
        stage.disk.set_aside.clear()
        stage.darkroom.jobs.clear()
        stage.pass_by(1)
    counted = +stage.counters.set_aside
    assert {reason: counted[reason] for reason in expected} == dict(expected)
    print(f"{sum(expected.values())} of {PAYLOADS[drill.kills]} set aside: {dict(expected.most_common(8))}")
