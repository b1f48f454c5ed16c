"""Where thresholds come from: a cohort, the gallery itself, a table; and files that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from estate.config import SettingsError
from gateway.matching.calibration import STRANGERS_MIN
from gateway.matching.gallery import Gallery
from gateway.matching.model_file import read_face_model
from gateway.matching.templates import DLIB_ENCODER, dimension_of
from gateway.matching.yardstick import Yardstick, make_yardstick
from tests.unit.faces.people import enrolled, make_centres, picture


def cohort_file(path: Path, people: int, encoder: str | None = None, photos: int = 3) -> Path:
    random = np.random.default_rng(5)
    rows = np.concatenate([picture(centre, random, photos) for centre in make_centres(people, random)])
    persons = np.repeat([f"s{number}" for number in range(people)], photos)
    extra = {} if encoder is None else {"encoder": np.array(encoder)}
    np.savez(path, templates=rows, persons=persons, **extra)
    return path


def test_a_cohort_gives_the_thresholds_of_any_gallery(tmp_path: Path) -> None:
    yardstick = make_yardstick(None, cohort_file(tmp_path / "cohort.npz", 400))
    random = np.random.default_rng(6)
    centres = make_centres(240, random)
    for size in (12, 40):
        gallery = Gallery.build(enrolled(centres[:size], random), yardstick=yardstick)
        assert gallery.calibration is not None
        assert (gallery.calibration.source, gallery.calibration.strangers) == ("strangers", 400)
        verdicts = [match.verdict for match in gallery.match_batch([centre[None] for centre in centres[40:]])]
        assert verdicts.count("match") <= 3
        own = [gallery.match(picture(centre, random, 2)).verdict for centre in centres[:size]]
        assert own.count("match") >= 0.9 * size


def test_a_cohort_with_one_picture_each_judges_more_frames_like_one(tmp_path: Path) -> None:
    yardstick = make_yardstick(None, cohort_file(tmp_path / "cohort.npz", 100, photos=1))
    random = np.random.default_rng(7)
    gallery = Gallery.build(enrolled(make_centres(30, random), random), yardstick=yardstick)
    assert gallery.calibration is not None
    assert len(set(gallery.calibration.by_frames)) == 1


def test_a_cohort_that_does_not_fit_is_refused_with_its_file_and_reason(tmp_path: Path) -> None:
    few = cohort_file(tmp_path / "few.npz", STRANGERS_MIN - 1)
    other = cohort_file(tmp_path / "other.npz", 50, encoder="onnx:other@000000000000/128")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 cut off")
    for path, said in (
        (few, "20"),
        (other, "onnx:other"),
        (broken, ".npz"),
        (tmp_path / "none.npz", "none.npz"),
    ):
        with pytest.raises(SettingsError, match=said) as caught:
            make_yardstick(None, path)
        assert caught.value.source == str(path)


def test_the_default_encoder_needs_no_file() -> None:
    yardstick = make_yardstick(None, None)
    assert yardstick.encoder == DLIB_ENCODER
    assert dimension_of(yardstick.encoder) == 128
    assert yardstick.table is not None


def describe(folder: Path, text: str, model: bytes = b"a model") -> Path:
    (folder / "m.onnx").write_bytes(model)
    path = folder / "m.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_another_version_of_a_model_is_another_encoder(tmp_path: Path) -> None:
    text = 'name = "mine"\ndimension = 64\nmodel = "m.onnx"\n'
    first = read_face_model(describe(tmp_path, text))
    second = read_face_model(describe(tmp_path, text, b"a better model"))
    assert first.encoder != second.encoder
    assert dimension_of(first.encoder) == 64
    assert make_yardstick(first, None) == Yardstick(first.encoder)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('name = "Mine!"\ndimension = 64\nmodel = "m.onnx"', "name"),
        ('name = "mine"\ndimension = 0\nmodel = "m.onnx"', "dimension"),
        ('name = "mine"\ndimension = 64\nmodel = "elsewhere.onnx"', "model"),
        ('name = "mine"\ndimension = 64\nmodel = "m.onnx"\ncolour = "grey"', "colour"),
        ('name = "mine"\ndimension = 64\nmodel = "m.onnx"\nsize = 3', "size"),
    ],
)
def test_a_wrong_description_of_a_model_names_the_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        read_face_model(describe(tmp_path, text))


def test_a_table_of_another_encoder_is_refused(tmp_path: Path) -> None:
    packaged = Path("gateway/matching/thresholds.toml").read_text(encoding="utf-8")
    (tmp_path / "t.toml").write_text(packaged, encoding="utf-8")
    text = 'name = "mine"\ndimension = 64\nmodel = "m.onnx"\nthresholds = "t.toml"\n'
    with pytest.raises(SettingsError, match="another encoder"):
        make_yardstick(read_face_model(describe(tmp_path, text)), None)
