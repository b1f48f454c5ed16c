"""The broker connection as the loop keeps it: connected again when lost, its messages gathered in batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from gateway.health import BrokerHealth
from gateway.loop import Loop
from gateway.mqtt import BrokerAddress, BrokerLink

log = structlog.get_logger()


class Broker:
    """Belongs to the loop's thread.

    Args:
        address: where it is.
        filters: what to subscribe to.
        loop: wakes for the connection's socket.
        now: UTC.
    """

    def __init__(
        self, address: BrokerAddress, filters: list[str], loop: Loop, now: Callable[[], datetime]
    ) -> None:
        self._loop, self._now = loop, now
        self._arrived: list[tuple[str, bytes]] = []
        self._link = BrokerLink(address, filters, self._message, self)
        self._fd = -1
        self.publish, self.acknowledge = self._link.publish, self._link.acknowledge
        self.flush = self._link.flush
        self.tick = self._link.tick
        self.health = BrokerHealth(False, None, "未连接 (not connected yet)")

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the kernel."""
        return self._link.wants_write

    @property
    def position(self) -> int:
        """How many messages have arrived since the start."""
        return self._link.position

    @property
    def retry_at_s(self) -> float:
        """When to try to connect next (monotonic seconds); infinite while connected."""
        return self._link.retry_at if self._link.retry_at is not None else float("inf")

    def connect_if_due(self, now_s: float) -> None:
        """Connect where there is no connection and the last try is long enough ago."""
        if now_s >= self.retry_at_s:
            self._link.connect(now_s)

    def watch(self) -> None:
        """Have the loop wake for this connection."""
        if (fd := self._link.fileno()) >= 0:
            self._fd = fd
            self._loop.watch(fd, self._link.read, writable=self._link.wants_write)

    def stop_reading(self) -> None:
        """What has not been read yet stays with the broker."""
        self._loop.unwatch(self._fd)

    def take(self) -> list[tuple[str, bytes]]:
        """The messages that have arrived (topic, payload)."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def close(self) -> None:
        """Say good-bye."""
        self.stop_reading()
        self._link.close()

    # What the connection tells.

    def connected(self) -> None:
        """The broker takes us."""
        self.health = BrokerHealth(True, self._now(), "")
        log.info("broker_connected")

    def refused(self, reason: str) -> None:
        """It does not."""
        if self.health.reason != reason:
            log.warning("broker_refused", reason=reason)
        self.health = BrokerHealth(False, self.health.since, reason)

    def lost(self) -> None:
        """It is gone."""
        self.stop_reading()
        if self.health.connected:
            log.warning("broker_lost")
            self.health = BrokerHealth(False, self._now(), "连接中断 (connection lost)")

    def _message(self, topic: str, payload: bytes) -> None:
        self._arrived.append((topic, payload))
