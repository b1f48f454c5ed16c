"""Carries out the city's orders to erase faces, and sends back what the vault has certified.

An order stands in the roster until the city holds the certificate, so nothing is lost by a crash between
the two: a certificate that names the order already is sent again, and nothing is erased twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog

from gateway.backend_client import BackendClient
from gateway.erasure import ErasureCertificate
from gateway.roster import EstateRoster
from gateway.roster_documents import ErasureOrder
from gateway.uplink import Link

LOOK_EVERY_S = 0.5
AT_ONCE = 100
ORDER_MARK = "order:"

log = structlog.get_logger()

# Estate, person, order.
Task = tuple[str, str, ErasureOrder]


class ErasingVault(Protocol):
    """What is asked of the vault."""

    def erase(
        self, person_id: str, *, reason: str, now: datetime, estate_id: str | None = None
    ) -> ErasureCertificate:
        """Destroy everything kept of a person."""

    def erase_photograph(
        self, estate_id: str, person_id: str, *, reason: str, now: datetime
    ) -> ErasureCertificate:
        """Destroy the photograph kept for panels."""

    def certificates(self, person_id: str) -> list[ErasureCertificate]:
        """Finished erasures of a person, oldest first."""


def open_tasks(rosters: Mapping[str, EstateRoster]) -> list[Task]:
    """Every order that the city still waits for; to be asked of the loop."""
    return [
        (estate, person, order)
        for estate, roster in rosters.items()
        for person, orders in roster.erasures.items()
        for order in orders
    ]


class Eraser(threading.Thread):
    """Looks twice a second for orders.

    Args:
        vault: whose rows are destroyed.
        tasks: asks the loop for the open orders.
        client: this thread's connection.
        link: shared state.
    """

    def __init__(
        self, vault: ErasingVault, tasks: Callable[[], list[Task]], client: BackendClient, link: Link
    ) -> None:
        super().__init__(name="eraser", daemon=True)
        self._vault, self._tasks, self._client, self._link = vault, tasks, client, link
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look, erase, tell."""
        failures = 0
        while not self._link.closed:
            try:
                if self.step():
                    self._link.went_well("erasures")
                failures = 0
                self._stopped.wait(LOOK_EVERY_S)
            except Exception as error:  # the orders stay; doors refuse these faces all the same
                self._link.went_wrong("erasures", error)
                self._link.pause(failures)
                failures += 1
        self._client.close()

    def stop(self) -> None:
        """Do not wait for the end of the round."""
        self._stopped.set()

    def step(self) -> int:
        """Carry out what is ordered and send the certificates; returns how many were sent."""
        tasks = self._tasks()[:AT_ONCE]
        # First every erasure, then the link: it may be down for long.
        certificates = [self._certificate(*task) for task in tasks]
        if certificates:
            for result in self._client.send_certificates(certificates):
                if result.refused:
                    log.error("certificate_refused", certificate=result.id, reason=result.refused)
        return len(certificates)

    def _certificate(self, estate: str, person: str, order: ErasureOrder) -> ErasureCertificate:
        mark = f"{ORDER_MARK}{order.order}"
        for known in self._vault.certificates(person):
            if known.erasure.reason.endswith(mark):
                return known
        reason, now = f"{order.reason} {mark}", datetime.now(UTC)
        log.info("face_erased", estate=estate, person=person, scope=order.scope, reason=order.reason)
        if order.scope == "photograph":
            return self._vault.erase_photograph(estate, person, reason=reason, now=now)
        return self._vault.erase(person, reason=reason, now=now, estate_id=estate)
