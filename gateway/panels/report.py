"""What is told of panels that match by themselves: how many people, who may still open, what was erased."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from gateway.drivers import Address
from gateway.panels.lease import NOBODY_KNOWS_S, our_reference
from gateway.panels.store import PanelStore


class MayStillOpen(Struct, frozen=True):
    """Somebody who may not enter any more, and whom the panel has not confirmed to have forgotten."""

    person: str
    until: datetime | None  # the end of the lease; None where nobody knows it
    since: datetime  # the panel is to forget the person since then


class ErasedPerson(Struct, frozen=True):
    """A confirmed erasure on a panel."""

    seq: int
    person: str
    since: datetime
    erased_at: datetime


class PanelReport(Struct, frozen=True):
    """One panel as the backend and `estate gateway panels report` are told."""

    estate: str
    device: str
    people: int
    refused: int
    reconciled_at: datetime | None
    missing: int
    extra: int
    nameless: int
    strangers: int  # references that are not ours, to be removed
    may_still_open: tuple[MayStillOpen, ...]
    erased: tuple[ErasedPerson, ...]


def reports(store: PanelStore) -> list[PanelReport]:
    """Every panel of which anything is known."""
    erased: dict[Address, list[ErasedPerson]] = {}
    for one in store.erased():
        if our_reference(one.person) is None:
            continue
        told = ErasedPerson(one.seq, one.person, _moment(one.since_s), _moment(one.erased_s))
        erased.setdefault(Address(one.estate, one.device), []).append(told)
    found = []
    for address in sorted({*store.panels(), *erased}):
        held = store.held(address)
        last = store.reconciled(address)
        removing = [one for _, one in sorted(held.items()) if one.state == "removing"]
        leaving = [one for one in removing if our_reference(one.person)]
        found.append(
            PanelReport(
                estate=address.estate,
                device=address.device,
                people=len(held) - len(removing),
                refused=sum(one.state == "refused" for one in held.values()),
                reconciled_at=_moment(last.at_s) if last.at_s else None,
                missing=last.missing,
                extra=last.extra,
                nameless=last.nameless,
                strangers=len(removing) - len(leaving),
                may_still_open=tuple(
                    MayStillOpen(
                        one.person,
                        _moment(one.until_s) if one.until_s != NOBODY_KNOWS_S else None,
                        _moment(one.since_s),
                    )
                    for one in leaving
                ),
                erased=tuple(erased.get(address, ())),
            )
        )
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
