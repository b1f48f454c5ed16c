"""Faces as the loop asks for them: one gallery an estate, built anew whenever the vault changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog

from gateway.cases import Floats
from gateway.decision import Recognition
from gateway.matching.gallery import Gallery
from gateway.matching.scoring import Mask
from gateway.matching.templates import DLIB_ENCODER, StoredTemplate
from gateway.matching.yardstick import Yardstick
from gateway.roster import EstateRoster

LOOK_EVERY_S = 1.0

log = structlog.get_logger()


class TemplateSource(Protocol):
    """What is asked of the vault."""

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        """Everybody enrolled in an estate."""

    def data_version(self) -> int:
        """Another number whenever anything was written."""


@dataclass(slots=True)
class _Part:
    """Who of a gallery has to do with one door group, as of so many changes of the roster."""

    gallery: Gallery
    roster: EstateRoster
    changes: int
    mask: Mask = field(repr=False)


class Galleries:
    """The galleries in use; belongs to the loop.

    Args:
        rosters: who has rights at which doors, by estate.
        encoder: what photographs become templates with.
    """

    def __init__(self, rosters: Mapping[str, EstateRoster], encoder: str = DLIB_ENCODER) -> None:
        self._rosters, self._encoder = rosters, encoder
        self._galleries: dict[str, Gallery] = {}
        self._parts: dict[tuple[str, str], _Part] = {}

    @property
    def takes_templates(self) -> bool:
        """Doors make templates with the default encoder only; those of another never meet them."""
        return self._encoder == DLIB_ENCODER

    def put(self, estate: str, gallery: Gallery | None) -> None:
        """Use this gallery from now on; None: faces of this estate cannot be compared."""
        if gallery is None:
            self._galleries.pop(estate, None)
        else:
            self._galleries[estate] = gallery

    def sizes(self) -> dict[str, int]:
        """People by estate."""
        return {estate: len(gallery) for estate, gallery in self._galleries.items()}

    def identify(
        self, estate: str, passages: Sequence[Floats], groups: Sequence[str]
    ) -> list[tuple[Recognition, str | None]]:
        """Whom each passage belongs to; without a gallery, or when matching fails, "unavailable".

        A door knows its building and not the estate: whoever has, had or will have a right at its group.
        Anybody else is a stranger there.
        """
        gallery = self._galleries.get(estate)
        if gallery is None:
            return [("unavailable", None)] * len(passages)
        try:
            allowed = [self._mask(estate, group, gallery) for group in groups]
            return [(match.verdict, match.person_id) for match in gallery.match_batch(passages, allowed)]
        except Exception:
            # A door asks for a card then; no fault of the matching may reach it as silence.
            log.exception("matching_failed", estate=estate, passages=len(passages))
            return [("unavailable", None)] * len(passages)

    def confirms(self, estate: str, person_id: str, passage: Floats) -> bool | None:
        """Whether a face is one named person's (1:1, at its own threshold); None: nobody can say."""
        gallery = self._galleries.get(estate)
        if gallery is None or gallery.place(person_id) is None:
            return None
        try:
            return gallery.confirms(person_id, passage)
        except Exception:
            log.exception("confirming_failed", estate=estate)
            return None

    def _mask(self, estate: str, group: str, gallery: Gallery) -> Mask:
        roster, part = self._rosters[estate], self._parts.get((estate, group))
        changed = None
        if part is not None and part.gallery is gallery and part.roster is roster:
            changed = roster.changed_since(part.changes)
        if part is None or changed is None:
            people = (_belongs(roster, person, group) for person in gallery.person_ids)
            mask = np.fromiter(people, np.bool_, len(gallery))
            part = self._parts[estate, group] = _Part(gallery, roster, roster.person_changes, mask)
        elif changed:
            for person in changed:
                if (place := gallery.place(person)) is not None:
                    part.mask[place] = _belongs(roster, person, group)
            part.changes = roster.person_changes
        return part.mask


def _belongs(roster: EstateRoster, person_id: str, group: str) -> bool:
    person = roster.people.get(person_id)
    return person is not None and group in person.rights


class GalleryKeeper(threading.Thread):
    """Looks about once a second whether somebody was enrolled or erased, and builds the galleries anew.

    Args:
        vault: where the templates are.
        rates: asks for each estate's stated false-positive rate.
        publish: hands a finished gallery to the loop.
        yardstick: of the encoder in use.
    """

    def __init__(
        self,
        vault: TemplateSource,
        rates: Callable[[], Mapping[str, float]],
        publish: Callable[[str, Gallery | None], None],
        yardstick: Yardstick,
    ) -> None:
        super().__init__(name="galleries", daemon=True)
        self._vault, self._rates, self._publish, self._yardstick = vault, rates, publish, yardstick
        self._built: dict[str, tuple[int, float]] = {}
        self._stopped = threading.Event()
        self._trouble = ""  # told once, not every second

    def run(self) -> None:
        """Look, build, wait."""
        while not self._stopped.is_set():
            try:
                self.step()
                self._trouble = ""
            except Exception as error:  # the galleries of before stay in use
                if self._trouble != (trouble := repr(error)):
                    self._trouble = trouble
                    log.exception("galleries_not_built")
            self._stopped.wait(LOOK_EVERY_S)

    def step(self) -> None:
        """Build what has changed."""
        version = self._vault.data_version()
        for estate, rate in self._rates().items():
            if self._built.get(estate) == (version, rate):
                continue
            try:
                gallery = Gallery.build(self._vault.templates(estate), fpir=rate, yardstick=self._yardstick)
            except ValueError as error:
                # No threshold is known for so few people at this rate: nobody is let in by guessing.
                log.error("gallery_refused", estate=estate, reason=str(error))
                self._publish(estate, None)
            else:
                self._publish(estate, gallery)
            self._built[estate] = (version, rate)

    def stop(self) -> None:
        """End; waits for a gallery that is being built."""
        self._stopped.set()
        if self.is_alive():
            self.join()
