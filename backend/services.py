"""What the web process is made of, built once by `backend.app.create_app`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app
from sqlalchemy import Engine

from backend.registry.keys import MasterKey
from backend.registry.signal import RosterSignal
from backend.settings import BackendSettings


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that views need; `app.extensions["estate"]` holds them.

    Attributes:
        engine: the application's database role, pooled.
        settings: the whole configuration.
        master_key: opens the estates' card keys.
        roster_signal: wakes long polls when a roster changed.
    """

    engine: Engine
    settings: BackendSettings
    master_key: MasterKey
    roster_signal: RosterSignal

    def close(self) -> None:
        """Let go of threads and connections."""
        self.roster_signal.stop()
        self.engine.dispose()


def services() -> Services:
    """The parts of the application that answers this request."""
    return cast(Services, current_app.extensions["estate"])
