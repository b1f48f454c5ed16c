"""Faces as the loop asks for them: one gallery an estate, built anew whenever the vault changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from gateway.cases import Floats
from gateway.decision import Recognition
from gateway.matching.gallery import Gallery
from gateway.matching.templates import StoredTemplate

LOOK_EVERY_S = 1.0

log = structlog.get_logger()


class TemplateSource(Protocol):
    """What is asked of the vault."""

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        """Everybody enrolled in an estate."""

    def data_version(self) -> int:
        """Another number whenever anything was written."""


class Galleries:
    """The galleries in use; belongs to the loop."""

    def __init__(self) -> None:
        self._galleries: dict[str, Gallery] = {}

    def put(self, estate: str, gallery: Gallery | None) -> None:
        """Use this gallery from now on; None: faces of this estate cannot be compared."""
        if gallery is None:
            self._galleries.pop(estate, None)
        else:
            self._galleries[estate] = gallery

    def sizes(self) -> dict[str, int]:
        """People by estate."""
        return {estate: len(gallery) for estate, gallery in self._galleries.items()}

    def identify(self, estate: str, passages: Sequence[Floats]) -> list[tuple[Recognition, str | None]]:
        """Whom each passage belongs to; without a gallery, or when matching fails, "unavailable"."""
        gallery = self._galleries.get(estate)
        if gallery is None:
            return [("unavailable", None)] * len(passages)
        try:
            return [(match.verdict, match.person_id) for match in gallery.match_batch(passages)]
        except Exception:
            # A door asks for a card then; no fault of the matching may reach it as silence.
            log.exception("matching_failed", estate=estate, passages=len(passages))
            return [("unavailable", None)] * len(passages)


class GalleryKeeper(threading.Thread):
    """Looks about once a second whether somebody was enrolled or erased, and builds the galleries anew.

    Args:
        vault: where the templates are.
        rates: asks for each estate's stated false-positive rate.
        publish: hands a finished gallery to the loop.
    """

    def __init__(
        self,
        vault: TemplateSource,
        rates: Callable[[], Mapping[str, float]],
        publish: Callable[[str, Gallery | None], None],
    ) -> None:
        super().__init__(name="galleries", daemon=True)
        self._vault, self._rates, self._publish = vault, rates, publish
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
                gallery = Gallery.build(self._vault.templates(estate), fpir=rate)
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
