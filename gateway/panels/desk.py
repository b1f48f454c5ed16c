"""Keeps the rosters of panels that match by themselves: one command in flight for each, paced, retried.

A thread of its own, so that no door waits for it. It looks at the loop's rosters once a second, works out
what each panel should hold, and moves one step nearer. What a panel may hold is on disk before it is told
so, and stays there until it has confirmed that it is gone: the list of who may still open is never short.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TypeAlias

import structlog
from msgspec import structs

from gateway.drivers import Address, DeviceReply
from gateway.drivers.commands import (
    Command,
    CountPeople,
    ListPeople,
    PutPeople,
    PutPerson,
    RemovePeople,
)
from gateway.drivers.mqtt_face_commands import error_name
from gateway.loop import LoopSilentError
from gateway.panels.lease import DAY_S, NOBODY_KNOWS_S, Held, Put, Remove, Step, compare, next_step, wanted
from gateway.panels.photos import PhotographSource
from gateway.panels.state import Flight, Panel, PanelView
from gateway.panels.store import PanelStore, Reconciled

ROUND_S = 1.0
PICTURE_PAUSE_S, PAUSE_S = 1.0, 0.2  # between commands to one panel
REPLY_WAIT_S, BATCH_WAIT_S = 10.0, 60.0
BACKOFF_S_MAX, BUSY_S = 60.0, 10.0
PAGE = 50
RECONCILE_EVERY_S = DAY_S

LIST_TRIES, LIST_AGAIN_S = 4, 3_600.0
# A reply; a panel that is there again; a panel and whom it let in wrongly; None to wake up.
_News: TypeAlias = DeviceReply | Address | tuple[Address, str] | None

log = structlog.get_logger()


class PanelDesk(threading.Thread):
    """Belongs to itself; `online`, `reply` and `repair` may be called from the loop.

    Args:
        look: asks the loop for its panels; the addresses are those that something is known of.
        send: gives a command to a device through the loop; False where it cannot be sent.
        store: what each panel holds.
        photographs: the vault; None: nobody is put on a panel.
        photo_url: a new address of a person's photograph; None: there is no server for them.
        now_s: the gateway's time.
    """

    def __init__(
        self,
        look: Callable[[Sequence[Address]], list[PanelView]],
        send: Callable[[Address, Command], bool],
        store: PanelStore,
        photographs: PhotographSource | None,
        photo_url: Callable[[str, str], str | None],
        now_s: Callable[[], float],
        differs: Callable[[Address, bool], None] = lambda _address, _differs: None,
    ) -> None:
        super().__init__(name="panels", daemon=True)
        self._look, self._send, self._store = look, send, store
        self._photographs, self._photo_url, self._now_s = photographs, photo_url, now_s
        self._differs = differs
        self._news: queue.SimpleQueue[DeviceReply | tuple[Address, str] | Address | None] = (
            queue.SimpleQueue()
        )
        self._panels: dict[Address, Panel] = {}
        self._photographed: dict[str, Mapping[str, str]] = {}
        self._pictures: dict[str, Mapping[str, str]] = {}  # as they were before the vault changed
        self._vault_version = -1
        self._numbers = 0
        self._closing = False

    # -- what the loop tells ----------------------------------------------------------------------

    def online(self, address: Address) -> None:
        """A panel is there again, and may have missed commands."""
        self._news.put(address)

    def reply(self, reply: DeviceReply) -> None:
        """An acknowledgement."""
        self._news.put(reply)

    def repair(self, address: Address, person: str) -> None:
        """A panel has let in somebody whom it should not know."""
        self._news.put((address, person))

    def close(self) -> None:
        """End soon."""
        self._closing = True
        self._news.put(None)
        if self.is_alive():
            self.join(5)

    # -- the thread -------------------------------------------------------------------------------

    def run(self) -> None:
        """Wait for news, a second at the longest, and move each panel on."""
        while not self._closing:
            try:
                self._take_news(ROUND_S)
                if not self._closing:
                    self.round()
            except (sqlite3.Error, OSError, LoopSilentError) as error:
                # The disk or the loop is in trouble: nothing is sent, and the next round tries again.
                log.warning("panels_wait", reason=str(error))

    def round(self) -> None:
        """Work out what each panel should hold, and take one step with each that is free and there."""
        now_s = self._now_s()
        self._see_photographs()
        for view in self._look(self._store.panels()):
            panel = self._panels.setdefault(view.address, Panel())
            self._of_estate(view.address.estate)
            held = self._withdraw(view, panel, now_s)
            self._expire(view.address, panel, now_s)
            if panel.flight is None and view.online and now_s >= panel.not_before_s and view.door is not None:
                self._step(view, panel, held, now_s)

    def _take_news(self, wait_s: float) -> None:
        try:
            news = self._news.get(timeout=wait_s)
            while True:
                self._take(news)
                news = self._news.get_nowait()
        except queue.Empty:
            return

    def _take(self, news: _News) -> None:
        if isinstance(news, DeviceReply):
            self._answered(news)
        elif isinstance(news, Address):
            panel = self._panels.setdefault(news, Panel())
            # What was under way when it went may never have reached it, and it may have been reset since.
            panel.flight, panel.listed, panel.not_before_s = None, None, 0.0
            panel.reconcile, panel.failures = True, 0
        elif news is not None:
            address, person = news
            panel = self._panels.setdefault(address, Panel())
            panel.repairs.add(person)
            panel.reconcile = True

    def _see_photographs(self) -> None:
        if self._photographs is None:
            return
        version = self._photographs.data_version()
        if version != self._vault_version:
            self._vault_version, self._photographed = version, {}

    def _of_estate(self, estate: str) -> Mapping[str, str]:
        if self._photographs is None:
            return {}
        known = self._photographed.get(estate)
        if known is None:
            known = self._photographed[estate] = self._photographs.photographs(estate)
            before = self._pictures.get(estate, known)
            self._pictures[estate] = known
            self._send_anew(estate, {one for one in before if known.get(one, before[one]) != before[one]})
        return known

    def _send_anew(self, estate: str, people: Set[str]) -> None:
        """These were photographed again: each panel gets the new picture."""
        for address in self._store.panels() if people else ():
            held = self._store.held(address) if address.estate == estate else {}
            anew = [
                structs.replace(one, state="putting")
                for person, one in held.items()
                if person in people and one.state == "on"
            ]
            if anew:
                self._store.put(address, anew)

    def _wanted(self, view: PanelView, now_s: float) -> dict[str, float]:
        if view.door is None:
            return {}
        return wanted(view.policy, view.door, view.people, self._of_estate(view.address.estate), now_s)

    def _withdraw(self, view: PanelView, panel: Panel, now_s: float) -> dict[str, Held]:
        """Note whom the panel has to forget, whether it is there or not; all that it may hold."""
        held, wanted_now = self._store.held(view.address), self._wanted(view, now_s)
        leaving = [
            structs.replace(one, state="removing", since_s=now_s, reason="")
            for person, one in held.items()
            if one.state != "removing" and person not in wanted_now
        ]
        strangers = [
            Held(person, NOBODY_KNOWS_S, "removing", now_s)
            for person in panel.repairs
            if person not in held and person not in wanted_now
        ]
        panel.repairs.clear()
        if leaving or strangers:
            self._store.put(view.address, [*leaving, *strangers])
        return held | {one.person: one for one in (*leaving, *strangers)}

    def _expire(self, address: Address, panel: Panel, now_s: float) -> None:
        flight = panel.flight
        if flight is None or now_s - flight.sent_s < flight.wait_s:
            return
        log.info("panel_unanswered", estate=address.estate, device=address.device)
        panel.flight = None
        if flight.step is None:
            self._list_failed(panel, now_s)
        else:
            self._back_off(panel, now_s)

    # -- one step with one panel --------------------------------------------------------------------

    def _step(self, view: PanelView, panel: Panel, held: Mapping[str, Held], now_s: float) -> None:
        found = self._store.reconciled(view.address)
        lease_s = view.policy.roster_lease_days * DAY_S
        step = next_step(self._wanted(view, now_s), held, now_s, lease_s)
        due = found.asked or panel.reconcile or now_s - found.at_s > RECONCILE_EVERY_S
        due = due and now_s >= panel.list_after_s and bool(view.policy.panels_match or held)
        if panel.listed is not None:
            self._list(view.address, panel, now_s)  # its next page
        elif isinstance(step, Remove) or (step is not None and not due):
            self._do(view.address, panel, step, now_s)
        elif due:
            self._list(view.address, panel, now_s)

    def _do(self, address: Address, panel: Panel, step: Step, now_s: float) -> None:
        message_id = self._message_id()
        if isinstance(step, Remove):
            command: Command = RemovePeople(message_id, step.people)
        else:
            made = self._people(address, step, message_id, now_s)
            if not made:
                panel.not_before_s = now_s + BUSY_S
                return
            command = made[0] if len(made) == 1 else PutPeople(message_id, tuple(made))
            self._note_putting(address, made, step.pictures, now_s)
        batch = isinstance(command, PutPeople) or (isinstance(step, Remove) and len(step.people) > 1)
        self._fly(address, panel, Flight(command, step, now_s, BATCH_WAIT_S if batch else REPLY_WAIT_S))

    def _people(self, address: Address, step: Put, message_id: str, now_s: float) -> list[PutPerson]:
        made: list[PutPerson] = []
        for person, until_s in step.people:
            url = self._photo_url(address.estate, person) if step.pictures else ""
            if url is not None:
                made.append(PutPerson(message_id, person, now_s, until_s, url))
        return made

    def _note_putting(
        self, address: Address, people: Sequence[PutPerson], pictures: bool, now_s: float
    ) -> None:
        """On disk first, with the later of both ends: until it answers, the panel may go by either."""
        held = self._store.held(address)
        noted = []
        for one in people:
            before = held.get(one.person)
            until_s = max(one.until_s, before.until_s if before is not None else 0.0)
            state = "putting" if pictures or before is None else before.state
            noted.append(Held(one.person, until_s, state, now_s))
        self._store.put(address, noted)

    def _list(self, address: Address, panel: Panel, now_s: float) -> None:
        listed = panel.listed if panel.listed is not None else []
        panel.listed = listed
        name = self._message_id()
        command: Command = CountPeople(name) if panel.by_count else ListPeople(name, len(listed), PAGE)
        self._fly(address, panel, Flight(command, None, now_s, REPLY_WAIT_S))

    def _fly(self, address: Address, panel: Panel, flight: Flight) -> None:
        if self._send(address, flight.command):
            panel.flight = flight
        else:
            panel.not_before_s = flight.sent_s + BUSY_S

    # -- answers ------------------------------------------------------------------------------------

    def _answered(self, reply: DeviceReply) -> None:
        panel = self._panels.get(reply.address)
        flight = panel.flight if panel is not None else None
        if panel is None or flight is None or reply.message_id != flight.command.message_id:
            return  # an old one, or nobody's: what counts as erased is what was answered to our own question
        now_s = self._now_s()
        panel.flight = None
        pictures = isinstance(flight.step, Put) and flight.step.pictures
        panel.not_before_s = now_s + (PICTURE_PAUSE_S if pictures else PAUSE_S)
        if not reply.ok and not reply.results and error_name(reply.operator, reply.code) == "busy":
            panel.not_before_s = now_s + BUSY_S
            return
        panel.failures = 0
        if isinstance(flight.step, Remove):
            self._removed(panel, flight.step, reply, now_s)
        elif isinstance(flight.step, Put):
            self._put(flight.step, reply, now_s)
        else:
            self._page(panel, reply, now_s)

    def _removed(self, panel: Panel, step: Remove, reply: DeviceReply, now_s: float) -> None:
        """Erased is what the panel confirms; where it reports an error, its own list says what is true."""
        said = {one.person: one.ok for one in reply.results}
        gone = [person for person in step.people if said.get(person, reply.ok)]
        self._store.erase(reply.address, gone, now_s)
        if len(gone) < len(step.people):
            panel.reconcile = True
            self._back_off(panel, now_s)
            self._list(reply.address, panel, now_s)

    def _put(self, step: Put, reply: DeviceReply, now_s: float) -> None:
        said = {one.person: one for one in reply.results}
        kept = []
        for person, until_s in step.people:
            result = said.get(person)
            ok = result.ok if result is not None else reply.ok
            reason = (
                "" if ok else error_name(reply.operator, result.code if result is not None else reply.code)
            )
            kept.append(Held(person, until_s, "on" if ok else "refused", now_s, reason))
            if not ok:
                log.warning(
                    "panel_refused_person",
                    estate=reply.address.estate, device=reply.address.device, person=person, reason=reason,
                )  # fmt: skip
        self._store.put(reply.address, kept)

    def _page(self, panel: Panel, reply: DeviceReply, now_s: float) -> None:
        listed = panel.listed if panel.listed is not None else []
        if not reply.ok or reply.people is None:
            self._list_failed(panel, now_s)
            return
        listed += reply.people
        if not panel.by_count and len(reply.people) >= PAGE:
            panel.listed = listed
            return
        panel.listed = None
        self._mend(reply.address, panel, listed, now_s)

    def _mend(self, address: Address, panel: Panel, listed: Sequence[str], now_s: float) -> None:
        """Bring what we hold in line with the panel's own list; the next rounds bring the panel in line."""
        held = self._store.held(address)
        found = compare(listed, held)
        self._store.erase(address, found.gone, now_s)
        self._store.drop(address, found.missing)
        self._store.put(address, [Held(person, NOBODY_KNOWS_S, "removing", now_s) for person in found.extra])
        before = self._store.reconciled(address)
        self._store.put_reconciled(
            address, Reconciled(now_s, len(found.missing), len(found.extra), found.nameless)
        )
        panel.reconcile, panel.list_failures = False, 0
        self._differs(address, not found.is_none)
        if not found.is_none and (before.missing, before.extra, before.nameless) != (
            len(found.missing), len(found.extra), found.nameless,
        ):  # fmt: skip
            log.warning(
                "panel_roster_differs",
                estate=address.estate, device=address.device,
                missing=len(found.missing), extra=len(found.extra), nameless=found.nameless,
            )  # fmt: skip

    def _list_failed(self, panel: Panel, now_s: float) -> None:
        """Firmware without pages names everybody at once; some has neither, and is filled all the same."""
        panel.by_count, panel.listed = not panel.by_count, None
        panel.list_failures += 1
        if panel.list_failures % LIST_TRIES == 0:
            panel.list_after_s = now_s + LIST_AGAIN_S
        self._back_off(panel, now_s)

    def _back_off(self, panel: Panel, now_s: float) -> None:
        panel.failures += 1
        panel.not_before_s = now_s + min(BACKOFF_S_MAX, 2.0 ** min(panel.failures, 10))

    def _message_id(self) -> str:
        self._numbers += 1
        return f"roster-{int(self._now_s())}-{self._numbers}"
