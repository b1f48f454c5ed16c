"""Whatever the network, the disk and the power do: one record, one answer, one opening for a passage."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.gateway.stage import Disk, Stage, card, face, photograph

PASSAGES = st.sampled_from([None, "t1", "t2"])


class Day(RuleBasedStateMachine):
    """People come, messages are doubled and mixed up, the disk hangs, the power goes."""

    @initialize()
    def open_the_gate(self) -> None:
        self.stage = Stage(entries_max=6)
        self.sent: dict[str, tuple[dict[str, Any], tuple[str, bytes]]] = {}
        self.tracks: dict[str, str] = {}
        self.number = self.boots = 0

    def _new(self, content: dict[str, Any], track: str | None) -> tuple[str, bytes]:
        event_id = str(content["id"])
        if track is not None and content["kind"] == "face":
            # Nobody stands in the camera's view for as long as a box takes to come up again.
            track = f"{track}-{self.boots}"
            content = {**content, "track": track}
            self.tracks[event_id] = track
        message = self.stage.message(content)
        self.sent[event_id] = (content, message)
        return message

    def _id(self) -> str:
        self.number += 1
        return f"n{self.number}"

    @rule(
        kinds=st.lists(
            st.sampled_from(
                ["card", "wrong card", "face", "stranger", "unsure", "photograph", "pin", "last"]
            ),
            min_size=1,
            max_size=4,
        ),
        track=PASSAGES,
    )
    def people_come(self, kinds: list[str], track: str | None) -> None:
        makers = {
            "card": card,
            "wrong card": lambda event_id: card(event_id, "none"),
            "face": lambda event_id: face(event_id, 1),
            "stranger": lambda event_id: face(event_id, 3),
            "unsure": lambda event_id: face(event_id, 2),
            "photograph": photograph,
            "pin": lambda event_id: {"id": event_id, "kind": "pin", "pin": "000000"},
            "last": lambda event_id: face(event_id, 2, last=True),
        }
        self.stage.pass_by(0.5)
        self.stage.take(*(self._new(makers[kind](self._id()), track) for kind in kinds))

    @rule(seed=st.integers(0, 2**16), count=st.integers(1, 5))
    def the_broker_delivers_again(self, seed: int, count: int) -> None:
        chance = random.Random(seed)
        if self.sent:
            chosen = chance.choices(sorted(self.sent), k=count)
            self.stage.take(*(self.sent[event_id][1] for event_id in chosen))

    @rule(seed=st.integers(0, 2**16), count=st.integers(1, 5))
    def the_device_sends_again(self, seed: int, count: int) -> None:
        chance = random.Random(seed)
        waiting = [event_id for event_id in sorted(self.sent) if event_id not in self.stage.confirmed]
        if waiting:
            for event_id in chance.choices(waiting, k=count):
                content, _ = self.sent[event_id]
                self.stage.take(self.stage.message({**content, "resent": True}))

    @rule()
    def the_disk_works(self) -> None:
        self.stage.write()

    @rule(who=st.sampled_from([1, 2, 3, None]), crashed=st.booleans())
    def the_encoder_works(self, who: int | None, crashed: bool) -> None:
        self.stage.develop(who, crashed=crashed)

    @rule(seconds=st.sampled_from([0.02, 2.0, 6.0, 20.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.stage.pass_by(seconds)

    @rule()
    def the_power_goes(self) -> None:
        self.boots += 1
        self.stage.darkroom.jobs.clear()
        # Starting again takes time: what was made before is known to be older than the new run.
        self.stage.wall_s += 0.5
        self.stage.monotonic_s += 0.5
        self.stage.restart()

    @rule(there=st.booleans())
    def the_broker_comes_and_goes(self, there: bool) -> None:
        self.stage.connected = there

    @invariant()
    def no_event_has_two_answers(self) -> None:
        for event_id, answers in self.stage.answers.items():
            assert len(answers) <= 1, (event_id, answers)

    @invariant()
    def no_passage_opens_twice(self) -> None:
        opened: dict[str, int] = {}
        for event_id in self.stage.answers:
            passage = self.tracks.get(event_id, event_id)
            opened[passage] = opened.get(passage, 0) + self.stage.openings(event_id)
        assert all(count <= 1 for count in opened.values()), opened

    @invariant()
    def nothing_is_confirmed_that_is_not_on_the_disk(self) -> None:
        assert self.stage.unfounded == []

    @invariant()
    def no_passage_has_two_records(self) -> None:
        passages = [record.passage for record in self.stage.disk.records]
        assert len(passages) == len(set(passages))

    def teardown(self) -> None:
        """In the end, with everything working, each device gets rid of each event, and each is known."""
        if not hasattr(self, "stage"):
            return
        self.stage.connected = True
        self.stage.write()
        self.stage.develop(1)
        self.stage.pass_by(6)
        self.stage.write()
        for _ in range(2):
            for event_id, (content, _message) in self.sent.items():
                if event_id not in self.stage.confirmed:
                    self.stage.take(self.stage.message({**content, "resent": True}))
                    self.stage.write()
        assert set(self.sent) <= set(self.stage.confirmed)
        recorded = {record.passage for record in self.stage.disk.records}
        for event_id in self.sent:
            track = self.tracks.get(event_id)
            assert (f"track:{track}" if track else f"event:{event_id}") in recorded


Day.TestCase.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
TestDay = Day.TestCase


def test_any_order_and_any_repeats_give_the_same_log() -> None:
    messages = [card(f"c{number}") for number in range(10)]
    messages += [face(f"f{number}", number % 3 + 1) for number in range(10)]

    def log_of(seed: int) -> set[tuple[str, str, str | None]]:
        chance = random.Random(seed)
        stage = Stage(Disk())
        waiting = [stage.message(content) for content in messages for _ in range(chance.randint(1, 3))]
        chance.shuffle(waiting)
        while waiting:
            size = chance.randint(1, 7)
            stage.take(*waiting[:size])
            del waiting[:size]
            if chance.random() < 0.5:
                stage.write()
        stage.write()
        return {(record.passage, record.cause, record.person) for record in stage.disk.records}

    expected = log_of(0)
    assert len(expected) == 20
    assert all(log_of(seed) == expected for seed in range(1, 40))
