"""What goes back to the doors: answers and confirmations, gathered by device into few messages."""

from __future__ import annotations

from collections.abc import Callable

from gateway.counters import Counters
from gateway.decision import Decision
from gateway.drivers import Address, Driver
from gateway.messages import AnswerItem


class Outbox:
    """Answers and confirmations of one wake of the loop.

    Args:
        driver: turns them into messages.
        send: gives a message (topic, payload) to the broker; False when there is no connection.
        open_within_ms: how long after the event an opening is worth anything.
    """

    def __init__(
        self,
        driver: Driver,
        send: Callable[[str, bytes], bool],
        open_within_ms: int,
        counters: Counters,
    ) -> None:
        self._driver, self._send, self.open_within_ms = driver, send, open_within_ms
        self._counters = counters
        self._waiting: dict[Address, tuple[list[AnswerItem], list[str]]] = {}

    def answer(self, address: Address, event_id: str, decision: Decision) -> None:
        """Tell a door what to do, unless there is nothing to be told."""
        cause = decision.cause
        outcome = cause.outcome
        if outcome == "none":
            return
        self._counters.answers[cause.code] += 1
        self._of(address)[0].append(
            AnswerItem(
                event_id,
                outcome,
                cause.told_as or cause.code,
                cause.tenant_zh,
                cause.tenant_en,
                decision.ask or None,
                self.open_within_ms if outcome == "open" else None,
            )
        )

    def confirm(self, address: Address, event_id: str) -> None:
        """Tell a device that it may forget an event."""
        self._counters.confirmed += 1
        self._of(address)[1].append(event_id)

    def flush(self) -> None:
        """Hand all of it to the broker connection; what it does not take, the devices ask for again."""
        waiting, self._waiting = self._waiting, {}
        for address, (answers, recorded) in waiting.items():
            for topic, payload in self._driver.write(address, answers, recorded):
                if not self._send(topic, payload):
                    self._counters.unsent += 1

    def _of(self, address: Address) -> tuple[list[AnswerItem], list[str]]:
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = ([], [])
        return waiting
