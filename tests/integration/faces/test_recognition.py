"""Real photographs through the real encoder: who is let in, who is not, and which pictures are refused."""

import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from gateway.enrolment import Enrolled, Refused, enrol
from gateway.matching.gallery import Gallery
from gateway.matching.scoring import chord
from gateway.matching.templates import DLIB_ENCODER, dimension_of, unit_rows
from gateway.matching.yardstick import default_yardstick
from gateway.sealing import new_key
from gateway.vault import Vault
from simulators.photos import DemoPhotos, mirrored_view, second_view
from tests.integration.faces.conftest import Encoder

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with closing(Vault(tmp_path / "vault.db", new_key())) as opened:
        yield opened


def enrol_with(vault: Vault, encoder: Encoder, person: str, *pictures: bytes) -> Enrolled | Refused:
    return enrol(
        vault,
        lambda *_: "live",
        encoder.enrolment,
        estate_id="e1",
        person_id=person,
        photos=pictures,
        now=NOW,
        yardstick=default_yardstick(),
    )


def jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=92)
    return out.getvalue()


@pytest.fixture
def gallery(vault: Vault, encoder: Encoder, people: DemoPhotos) -> Gallery:
    """Person A from two photographs, B and C from one each."""
    first, second, _ = (path.read_bytes() for path in people.a)
    assert enrol_with(vault, encoder, "a", first, second) == Enrolled("a", 2)
    assert enrol_with(vault, encoder, "b", people.b.read_bytes()) == Enrolled("b", 1)
    assert enrol_with(vault, encoder, "c", people.c.read_bytes()) == Enrolled("c", 1)
    return Gallery.build(vault.templates("e1"))


def test_another_photograph_of_the_same_person_is_a_match(
    gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    templates = encoder.door(people.a[2].read_bytes()).templates
    assert templates is not None
    match = gallery.match(templates)
    assert (match.verdict, match.person_id) == ("match", "a")


def test_half_a_face_at_the_door_is_enough_for_a_good_enrolment(
    gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    for path in people.a_parts:
        templates = encoder.door(path.read_bytes()).templates
        assert templates is not None
        assert gallery.match(templates).person_id == "a"


def test_each_person_is_a_stranger_to_a_gallery_without_them(
    vault: Vault, gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    for name, path in (("a", people.a[2]), ("b", people.b), ("c", people.c)):
        templates = encoder.door(path.read_bytes()).templates
        assert templates is not None
        for others in (["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"]):
            if name in others:
                continue
            small = Gallery.build([one for one in vault.templates("e1") if one.person_id in others])
            match = small.match(templates)
            assert (match.verdict, match.person_id) == ("unknown", None), (name, others, match)
    assert len(gallery) == 3


def test_other_views_of_a_lone_photograph_are_found(
    gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    for name, path in (("b", people.b), ("c", people.c)):
        result = encoder.door(second_view(path), mirrored_view(path))
        assert result.templates is not None
        assert result.templates.shape == (2, 128)
        match = gallery.match(result.templates)
        assert (match.verdict, match.person_id) == ("match", name)


def test_frames_that_show_nothing_do_not_spoil_a_passage(
    gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    empty = jpeg(Image.new("RGB", (480, 600), "grey"))
    result = encoder.door(empty, people.a[2].read_bytes(), b"%PDF-1.7")
    assert result.reasons == ("no_face", None, "not_an_image")
    assert result.reason is None
    assert result.templates is not None
    assert gallery.match(result.templates).person_id == "a"


def test_a_photograph_held_sideways_gives_the_same_face(encoder: Encoder, people: DemoPhotos) -> None:
    with Image.open(people.a[0]) as picture:
        upright = jpeg(picture)
        exif = Image.Exif()
        exif[0x0112] = 6
        out = io.BytesIO()
        picture.convert("RGB").rotate(90, expand=True).save(out, "JPEG", quality=92, exif=exif)
    result = encoder.enrolment([upright, out.getvalue()])
    assert result.templates is not None
    one, other = unit_rows(result.templates)
    assert chord(one, other) < 0.1


def test_a_mixed_pair_of_photographs_is_refused(vault: Vault, encoder: Encoder, people: DemoPhotos) -> None:
    outcome = enrol_with(vault, encoder, "a", people.a[0].read_bytes(), people.b.read_bytes())
    assert isinstance(outcome, Refused)
    assert outcome.reasons[0].code == "different_people"
    assert vault.templates("e1") == []


def test_a_face_that_is_enrolled_already_is_not_enrolled_as_somebody_else(
    vault: Vault, gallery: Gallery, encoder: Encoder, people: DemoPhotos
) -> None:
    outcome = enrol_with(vault, encoder, "impostor", people.a[2].read_bytes())
    assert isinstance(outcome, Refused)
    assert (outcome.reasons[0].code, outcome.reasons[0].resembles) == ("enrolled_as_another", "a")
    assert len(vault.templates("e1")) == len(gallery)


def test_each_bad_photograph_is_refused_in_plain_words(encoder: Encoder, people: DemoPhotos) -> None:
    with Image.open(people.a[0]) as file:
        good = file.convert("RGB")
    with Image.open(people.b) as file:
        other = file.convert("RGB").resize((good.height * file.width // file.height, good.height))
    both = Image.new("RGB", (good.width + other.width, good.height))
    both.paste(good, (0, 0))
    both.paste(other, (good.width, 0))
    bad = {
        "no_face": Image.new("RGB", (600, 800), "white"),
        "two_faces": both,
        "too_small": good.resize((good.width // 4, good.height // 4)),
        "too_dark": ImageEnhance.Brightness(good).enhance(0.15),
        "blurred": good.filter(ImageFilter.GaussianBlur(9)),
    }
    result = encoder.enrolment([jpeg(picture) for picture in bad.values()])
    assert result.reasons == tuple(bad)
    assert result.templates is None
    parts = encoder.enrolment([path.read_bytes() for path in people.a_parts])
    assert parts.reasons == ("cut_off", "cut_off")


def test_the_encoders_templates_have_the_form_the_doors_expect(encoder: Encoder, people: DemoPhotos) -> None:
    result = encoder.door(people.b.read_bytes())
    assert result.templates is not None
    assert (result.templates.shape, result.templates.dtype) == ((1, 128), np.dtype("<f4"))
    assert dimension_of(DLIB_ENCODER) == 128
