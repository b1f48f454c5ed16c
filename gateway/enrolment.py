"""Enrolment: from a person's photographs to a template in the vault, or to what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import numpy as np

from gateway.matching.calibration import FPIR
from gateway.matching.encoder import EncodeResult
from gateway.matching.gallery import Gallery
from gateway.matching.quality import REASONS
from gateway.matching.scoring import chord
from gateway.matching.templates import Floats, StoredTemplate, fuse, unit_rows
from gateway.matching.yardstick import Yardstick

PHOTOS_MAX = 5
PHOTOS_RECOMMENDED = 3
# Two photographs of one person are nearer than this in 99 of 100 cases, of two people in 1 of 100.
SAME_PERSON_DISTANCE_MAX = 0.43

Consent: TypeAlias = Literal["live", "none", "unknown_person", "faces_off"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong, and what to do.

    Attributes:
        code: of the contract, such as "no_consent" or a code of `gateway.matching.quality.REASONS`.
        photo: which photograph, from 1; None when it is not about one.
        zh, en: the sentence.
        resembles: for "enrolled_as_another", whom; for the human who settles the case, not for display.
    """

    code: str
    zh: str
    en: str
    photo: int | None = None
    resembles: str | None = None

    @property
    def told(self) -> tuple[str, str]:
        """The sentence in Chinese and in English, naming the photograph it is about."""
        if self.photo is None:
            return self.zh, self.en
        return f"照片 {self.photo}：{self.zh}", f"photograph {self.photo}: {self.en}"

    def __str__(self) -> str:
        return "  |  ".join(self.told)


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody was enrolled; every reason there is."""

    reasons: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The person's template is in the vault.

    Attributes:
        photos: photographs it was built from; fewer than three recognise less well.
    """

    person_id: str
    photos: int

    @property
    def more_recommended(self) -> bool:
        """Whether more photographs would serve the person better."""
        return self.photos < PHOTOS_RECOMMENDED


class TemplateVault(Protocol):
    """What enrolment asks of the vault."""

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        """Everybody enrolled in an estate."""

    def store(
        self, estate_id: str, person_id: str, views: Floats, encoder: str, now: datetime
    ) -> StoredTemplate:
        """Keep a person's template."""


_CONSENT: dict[Consent, Refusal] = {
    "none": Refusal(
        "no_consent",
        "没有有效的人脸同意，未读取照片；请先在管理端登记同意",
        "No live consent to face recognition, so no photograph was read. Record the consent first.",
    ),
    "unknown_person": Refusal(
        "unknown_person",
        "名单中没有此人，未读取照片；请核对人员编号，或等名单同步",
        "Nobody of this id is on the roster, so no photograph was read. Check the id, or let it synchronise.",
    ),
    "faces_off": Refusal(
        "faces_off",
        "本小区未启用人脸，未读取照片；请先完成影响评估并启用",
        "This estate has not switched faces on, so no photograph was read. It needs its impact assessment.",
    ),
}
_PHOTO_COUNT = Refusal(
    "photo_count",
    f"需要 1 至 {PHOTOS_MAX} 张照片，建议 {PHOTOS_RECOMMENDED} 张",
    f"Between 1 and {PHOTOS_MAX} photographs are needed; {PHOTOS_RECOMMENDED} are best.",
)


def enrol(
    vault: TemplateVault,
    consent: Callable[[str, str], Consent],
    encode: Callable[[list[bytes]], EncodeResult],
    *,
    estate_id: str,
    person_id: str,
    photos: Sequence[bytes],
    now: datetime,
    yardstick: Yardstick,
    fpir: float = FPIR,
    apart: Collection[str] = (),
    storing: AbstractContextManager[object] = nullcontext(),  # noqa: B008 (it keeps nothing)
) -> Enrolled | Refused:
    """Enrol a person. The photographs are used here and kept nowhere.

    Args:
        vault: where the template goes.
        consent: of (estate, person) today; asked before any photograph is looked at.
        encode: turns photographs into templates, each with its reason if it is not good enough.
        estate_id: where the person lives.
        person_id: opaque.
        photos: one to five files, JPEG or PNG; another photograph replaces what was enrolled before.
        now: UTC.
        yardstick: of the encoder that `encode` is.
        fpir: the estate's stated rate; somebody enrolled twice is searched for at the default one if that
            is laxer, for it is better to look at one more case.
        apart: people who were found to be somebody else, however alike.
        storing: held while the vault is searched and written, where several enrol at the same time.
    """
    state = consent(estate_id, person_id)
    if state != "live":
        return Refused((_CONSENT[state],))
    if not 1 <= len(photos) <= PHOTOS_MAX:
        return Refused((_PHOTO_COUNT,))
    views = _views_of_one_person(encode(list(photos)))
    if isinstance(views, Refused):
        return views
    with storing:
        gallery = Gallery.build(vault.templates(estate_id), fpir=max(fpir, FPIR), yardstick=yardstick)
        if (other := gallery.known_as(views, person_id, apart)) is not None:
            return Refused((_enrolled_as(other),))
        # Encoding takes seconds; a consent withdrawn meanwhile has been heard by now.
        if (state := consent(estate_id, person_id)) != "live":
            return Refused((_CONSENT[state],))
        vault.store(estate_id, person_id, views, yardstick.encoder, now)
    return Enrolled(person_id, len(views))


def odd_one_out(views: Floats) -> int | None:
    """The row of unit vectors that is not of the same person as the rest, if there is one.

    Returns:
        its index, the farthest from the others; None when all may be of one person.
    """
    if len(views) < 2:
        return None
    distances = [chord(view, fuse(np.delete(views, row, axis=0))) for row, view in enumerate(views)]
    farthest = int(np.argmax(distances))
    return farthest if distances[farthest] > SAME_PERSON_DISTANCE_MAX else None


def _views_of_one_person(result: EncodeResult) -> Floats | Refused:
    """The templates, if every photograph is good enough and all are of one person."""
    wrong = [_of_photo(number, code) for number, code in enumerate(result.reasons, 1) if code is not None]
    if wrong or result.templates is None:
        return Refused(tuple(wrong) or (_of_photo(None, result.reason or "encoder_failed"),))
    views = unit_rows(result.templates)
    odd = odd_one_out(views)
    return views if odd is None else Refused((_different_people(odd, len(views)),))


def _of_photo(number: int | None, code: str) -> Refusal:
    reason = REASONS[code]
    return Refusal(code, reason.zh, reason.en, number)


def _different_people(odd: int, photos: int) -> Refusal:
    if photos == 2:  # neither is the odd one
        zh, en = (
            "两张照片不像同一个人，请核对",
            "The two photographs do not look alike. Check who is on them.",
        )
        return Refusal("different_people", zh, en)
    zh, en = (
        "这张与其他照片不像同一个人，请核对",
        "This one does not look like the others. Check who is on it.",
    )
    return Refusal("different_people", zh, en, odd + 1)


def _enrolled_as(other: str) -> Refusal:
    return Refusal(
        "enrolled_as_another",
        "这张脸已登记在另一个人名下，未登记；请由管理员核实两人身份",
        "This face is enrolled as somebody else, so nothing was stored. An administrator must check both.",
        resembles=other,
    )
