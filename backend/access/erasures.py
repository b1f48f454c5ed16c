"""Whether an erasure is complete: certified by the vault, and confirmed by each panel of the estate."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select

from backend.access.devices import PanelErasure, panel_erasures
from backend.access.tables import panel_state
from backend.identity.principal import Scope
from backend.registry.erasures import ErasureView, erasures


@dataclass(frozen=True, slots=True)
class ErasureState:
    """An order with the vault's certificate and the panels' confirmations.

    Attributes:
        panels: each panel's part in the order's estate, since the order.
        unheard: panels of the estate that have told nothing since the certificate.
    """

    order: ErasureView
    panels: tuple[PanelErasure, ...]
    unheard: tuple[str, ...]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The panels that have not confirmed yet."""
        return (*(part.device_id for part in self.panels if part.erased_at is None), *self.unheard)

    @property
    def is_complete(self) -> bool:
        """Nothing is left of the person anywhere in the estate."""
        return self.order.certified_at is not None and not self.waits_for


def erasure_states(
    connection: Connection, estate_ids: Scope, person_id: UUID | None = None
) -> list[ErasureState]:
    """The orders of these estates, open ones first, each with what its panels have said."""
    heard = connection.execute(
        select(panel_state.c.device_id, panel_state.c.estate_id, panel_state.c.reported_at)
    ).all()
    orders = erasures(connection, estate_ids, person_id=person_id)
    panels = panel_erasures(connection, {one.person_id for one in orders})
    states = []
    for one in orders:
        parts = tuple(
            part
            for part in panels.get(one.person_id, ())
            if part.estate_id == one.estate_id
            and (part.erased_at is None or part.erased_at >= one.ordered_at)
        )
        unheard = tuple(
            row.device_id
            for row in heard
            if row.estate_id == one.estate_id
            and one.certified_at is not None
            and row.reported_at < one.certified_at
        )
        states.append(ErasureState(one, parts, unheard))
    return states
