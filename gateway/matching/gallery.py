"""The people a door may know, and whom a passage belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gateway.matching.calibration import FPIR, Calibration
from gateway.matching.scoring import Mask, Ranking, rank, scores_of_named
from gateway.matching.templates import (
    Floats,
    StoredTemplate,
    TemplateShapeError,
    dimension_of,
    fuse,
    fuse_tracks,
)
from gateway.matching.yardstick import Yardstick, default_yardstick

Verdict = Literal["match", "unsure", "unknown"]


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a passage belongs to.

    Attributes:
        person_id: the nearest person when the verdict is "match" or "unsure"; nobody when "unknown",
            so that a stranger leaves no trace of whom they resemble.
        score: of the nearest person; higher is more alike, see `gateway.matching.scoring`.
        runner_up_score: of the second.
        verdict: "match" may open; "unsure" asks for a card; "unknown" is a stranger.
    """

    person_id: str | None
    score: float
    runner_up_score: float
    verdict: Verdict


NOBODY = Match(None, -2.0, -2.0, "unknown")


@dataclass(frozen=True, slots=True)
class Gallery:
    """People of one encoder, ready to be compared with.

    Attributes:
        person_ids: N, one a row.
        rows: float32 unit vectors, shape (N, dimension).
        encoder: what made them; frames of another encoder must not be asked here.
        calibration: the thresholds; None for an empty gallery.
    """

    person_ids: tuple[str, ...]
    rows: Floats = field(repr=False)
    encoder: str
    calibration: Calibration | None
    _places: dict[str, int] = field(repr=False)

    @classmethod
    def build(
        cls,
        people: Iterable[StoredTemplate],
        *,
        fpir: float = FPIR,
        yardstick: Yardstick | None = None,
        calibration: Calibration | None = None,
    ) -> Gallery:
        """Line up the people of one encoder and find their thresholds.

        Args:
            people: of any encoder; those of others than the yardstick's are left out.
            fpir: the stated share of strangers that may be let in as somebody.
            yardstick: the encoder that the doors' frames are made with, and where its thresholds come
                from; the default encoder's if None.
            calibration: thresholds found elsewhere, such as for a larger gallery this one is a part of.
        Raises:
            NoCalibrationError: too few people, and no table for this encoder.
        """
        yardstick = yardstick if yardstick is not None else default_yardstick()
        encoder = yardstick.encoder
        chosen = [person for person in people if person.encoder == encoder]
        if not chosen:
            return cls((), np.empty((0, dimension_of(encoder)), np.float32), encoder, None, {})
        rows = np.ascontiguousarray(np.stack([person.template for person in chosen]), np.float32)
        if calibration is None:
            calibration = yardstick.calibrate(chosen, rows, fpir)
        ids = tuple(person.person_id for person in chosen)
        return cls(ids, rows, encoder, calibration, {person: row for row, person in enumerate(ids)})

    def __len__(self) -> int:
        return len(self.person_ids)

    def place(self, person_id: str) -> int | None:
        """The row of a person; None where there is none."""
        return self._places.get(person_id)

    def match(self, probes: Floats) -> Match:
        """Whom the frames of one passage belong to.

        Args:
            probes: float32, shape (frames, dimension), unfused, of this gallery's encoder.
        Raises:
            TemplateShapeError: not of that shape, not finite, or zero.
        """
        vector = fuse(probes)
        if vector.shape != (self.rows.shape[1],):
            raise TemplateShapeError(np.shape(probes), f"维数应为 {self.rows.shape[1]} (wrong dimension)")
        if self.calibration is None:
            return NOBODY
        frames = np.atleast_2d(probes).shape[0]
        return self._verdicts(rank(vector[None], self.rows), [frames])[0]

    def match_batch(self, tracks: Sequence[Floats], allowed: Sequence[Mask | None] = ()) -> list[Match]:
        """`match` for several passages, in one product; one that is no template is unknown.

        Args:
            tracks: each float32, shape (frames, dimension).
            allowed: for each track the rows of the people its door knows, bool of shape (N,), such as those
                of its building; None or nothing: everybody. The thresholds stay the whole gallery's: a
                stranger comes near to somebody of a part less often than to somebody of the whole, so they
                are at least as strict as the part's own would be.
        """
        answers = [NOBODY] * len(tracks)
        vectors, kept = fuse_tracks(tracks, self.rows.shape[1])
        if self.calibration is None or not kept:
            return answers
        ranking = rank(vectors, self.rows, allowed=[allowed[index] for index in kept] if allowed else ())
        frames = [len(tracks[index]) for index in kept]
        for index, answer in zip(kept, self._verdicts(ranking, frames), strict=True):
            answers[index] = answer
        return answers

    def confirms(self, person_id: str, probes: Floats) -> bool:
        """Whether the face is that of the person whose card was shown (1:1, at its own threshold).

        Raises:
            TemplateShapeError: as `match`.
        """
        vector = fuse(probes)
        place = self._places.get(person_id)
        if place is None or self.calibration is None:
            return False
        reached = scores_of_named(vector[None], self.rows, np.array([[place]]))[0, 0]
        return bool(reached >= self.calibration.threshold(np.atleast_2d(probes).shape[0]).confirm_min)

    def known_as(self, views: Floats, person_id: str, apart: Collection[str] = ()) -> str | None:
        """Somebody else who is enrolled with this face already, or None.

        Unlike at the door, a second person nearby makes no doubt: it is for a human to look at.

        Args:
            views: float32, shape (photos, dimension), photographs of one face.
            person_id: who it is said to be, left out of the search.
            apart: people of whom a human has said that they are somebody else, such as a twin; left out.
        """
        mask = np.array([other != person_id and other not in apart for other in self.person_ids], np.bool_)
        if self.calibration is None or not mask.any():
            return None
        ranking = rank(fuse(views)[None], self.rows, allowed=[mask])
        if ranking.scores()[0] < self.calibration.threshold(len(views)).accept_min:
            return None
        return self.person_ids[int(ranking.best[0])]

    def _verdicts(self, ranking: Ranking, frames: Sequence[int]) -> list[Match]:
        if self.calibration is None:
            return [NOBODY] * len(frames)
        margin_min = self.calibration.margin_min
        answers = []
        for best, score, margin, count in zip(
            ranking.best.tolist(),
            ranking.scores().tolist(),
            ranking.margins().tolist(),
            frames,
            strict=True,
        ):
            threshold = self.calibration.threshold(count)
            if score < threshold.unsure_min:
                answers.append(Match(None, score, score - margin, "unknown"))
            else:
                sure = score >= threshold.accept_min and margin >= margin_min
                verdict: Verdict = "match" if sure else "unsure"
                answers.append(Match(self.person_ids[best], score, score - margin, verdict))
        return answers
