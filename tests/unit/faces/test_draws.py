from pathlib import Path

import numpy as np
import pytest

from gateway.matching.draws import (
    FOLDS,
    OUTSIDE_MIN,
    GallerySizeError,
    Labelled,
    TemplatesFileError,
    deal_folds,
    draw,
    label,
    largest_size,
    read_labelled,
)
from tests.unit.faces.people import make_centres, picture


def some_people(seed: int = 1, able: int = 60, few: int = 300, single: int = 200) -> Labelled:
    """Sixty people of eight pictures, three hundred of three and two hundred of one."""
    random = np.random.default_rng(seed)
    counts = [8] * able + [3] * few + [1] * single
    centres = make_centres(len(counts), random)
    rows = np.concatenate([picture(c, random, n) for c, n in zip(centres, counts, strict=True)])
    return label(rows, np.repeat([f"n{number:04}" for number in range(len(counts))], counts))


PEOPLE = some_people()


@pytest.mark.parametrize(("size", "photos", "frames"), [(20, 3, 1), (100, 3, 3), (300, 2, 3), (400, 5, 1)])
def test_a_draw_keeps_to_the_protocol(size: int, photos: int, frames: int) -> None:
    folds = deal_folds(PEOPLE, np.random.default_rng(1))
    one = draw(PEOPLE, size, photos, frames, np.random.default_rng(2), folds)
    counts = PEOPLE.counts
    inside = {person for person, _ in one.enrolled}
    assert len(one.enrolled) == len(inside) == size
    enrolled_rows = {int(row) for _, rows in one.enrolled for row in rows}
    for person, rows in one.enrolled:
        assert len(rows) == min(photos, counts[person])
        assert set(rows) <= set(PEOPLE.rows[person])
    assert set(one.probes.persons) <= inside
    assert (counts[one.probes.persons] >= photos + frames).all()
    assert not enrolled_rows & {int(row) for row in one.probes.frames.ravel()}
    assert not set(one.strangers.persons) & inside
    assert (counts[one.strangers.persons] >= frames).all()
    for tracks in (one.probes, one.strangers):
        assert tracks.frames.shape[1] == frames
        used = [int(row) for row in tracks.frames.ravel()]
        assert len(used) == len(set(used))
        for person, rows in zip(tracks.persons, tracks.frames, strict=True):
            assert set(rows) <= set(PEOPLE.rows[person])
        assert (folds[tracks.persons] == tracks.folds).all()
    assert [one.enrolled[place][0] for place in one.places] == list(one.probes.persons)


def test_folds_are_even_and_split_by_person() -> None:
    folds = deal_folds(PEOPLE, np.random.default_rng(1))
    sizes = np.bincount(folds)
    assert len(sizes) == FOLDS
    assert sizes.max() - sizes.min() <= 1


def test_the_largest_size_fits_and_one_more_does_not() -> None:
    largest = largest_size(PEOPLE, 3, 3)
    folds = deal_folds(PEOPLE, np.random.default_rng(1))
    one = draw(PEOPLE, largest, 3, 3, np.random.default_rng(2), folds)
    assert len(set(one.strangers.persons)) == OUTSIDE_MIN
    for size in (largest + 1, 0):
        with pytest.raises(GallerySizeError) as caught:
            draw(PEOPLE, size, 3, 3, np.random.default_rng(2), folds)
        assert caught.value.largest == largest
        assert str(largest) in str(caught.value)


def test_too_few_people_fit_no_gallery_and_say_so() -> None:
    assert largest_size(some_people(able=50, few=0, single=0), 3, 3) == 0
    assert largest_size(PEOPLE, 8, 1) == 0
    assert "任何规模" in str(GallerySizeError(10, 8, 1, 0))


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_labelled_templates_are_read_from_npz(tmp_path: Path) -> None:
    templates = make_centres(4, np.random.default_rng(1)).astype(np.float16)
    path = save(tmp_path / "faces.npz", templates=templates, persons=np.array(["b", "a", "b", "c"]))
    people = read_labelled(path)
    assert [list(rows) for rows in people.rows] == [[1], [0, 2], [3]]
    assert people.templates.dtype == people.units.dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"templates": np.ones((3, 128))}, "persons"),
        ({"templates": np.ones((3, 128)), "persons": np.array(["a", "b"])}, "shapes"),
        ({"templates": np.ones(128), "persons": np.array(["a"])}, "shapes"),
        ({"templates": np.array([["x"] * 128]), "persons": np.array(["a"])}, "numbers"),
        ({"templates": np.ones((0, 128)), "persons": np.array([], "U1")}, "shapes"),
    ],
)
def test_a_file_of_something_else_is_refused_with_the_reason(
    tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(TemplatesFileError, match=said):
        read_labelled(save(tmp_path / "faces.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "faces.npz"
    path.write_bytes(content)
    with pytest.raises(TemplatesFileError):
        read_labelled(path)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "faces.npz").open("wb") as file:
        np.save(file, np.ones((3, 128)))
    with pytest.raises(TemplatesFileError):
        read_labelled(tmp_path / "faces.npz")


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    np.savez(path, templates=np.ones((1, 128)), persons=np.array([{"a": 1}], dtype=object))
    with pytest.raises(TemplatesFileError):
        read_labelled(path)
