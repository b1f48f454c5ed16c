"""What the worker does with a picture and with a face_recognition that is not there; no model is loaded."""

import importlib.util
import io
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from PIL import Image, ImageFile

from gateway.matching.encoder_worker import FacesMissingError, encode_picture, load_model, require_faces
from gateway.matching.quality import DOOR, ENROLMENT, Face, Limits, Pixels, Reason
from gateway.matching.templates import Floats

NEEDED = {
    "dlib": "dlib-bin",
    "pkg_resources": "setuptools<81",
    "face_recognition_models": "face_recognition_models",
    "face_recognition": "face_recognition",
}


def photo(width: int, height: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(60, 200, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


class FakeEye:
    """Finds one face, in the middle third of whatever it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.encoded: Face | None = None

    def find(self, picture: Pixels) -> list[Face]:
        height, width = picture.shape[:2]
        self.seen.append((width, height))
        side = min(width, height) // 3
        left, top = (width - side) // 2, (height - side) // 2
        across = left + side / 2
        marks = (
            *((across + side / 4, top + side / 3), (across + side / 8, top + side / 3)),
            *((across - side / 4, top + side / 3), (across - side / 8, top + side / 3)),
            (across, top + side / 2),
        )
        return [Face(left, top, left + side, top + side, 1.0, marks)]

    def encode(self, _picture: Pixels, face: Face) -> Floats:
        self.encoded = face
        return np.ones(128, np.float32)


@pytest.mark.parametrize("limits", [DOOR, ENROLMENT])
def test_a_large_picture_is_searched_small_and_encoded_in_full(limits: Limits) -> None:
    eye = FakeEye()
    found = encode_picture(photo(1200, 900), limits, eye.find, eye.encode)
    assert not isinstance(found, Reason)
    assert eye.seen == [(800, 600)]
    assert eye.encoded is not None
    assert (eye.encoded.left, eye.encoded.width) == (450, 300)


def test_a_small_picture_is_searched_as_it_is() -> None:
    eye = FakeEye()
    encode_picture(photo(480, 600), DOOR, eye.find, eye.encode)
    assert eye.seen == [(480, 600)]


def test_enrolment_looks_again_in_full_before_it_says_that_there_is_no_face() -> None:
    shown: list[tuple[int, ...]] = []

    def blind(picture: Pixels) -> list[Face]:
        shown.append(picture.shape[:2])
        return []

    for limits, times in ((DOOR, 1), (ENROLMENT, 2)):
        shown.clear()
        found = encode_picture(photo(900, 700), limits, blind, FakeEye().encode)
        assert isinstance(found, Reason)
        assert (found.code, len(shown)) == ("no_face", times)


@pytest.mark.parametrize("module", sorted(NEEDED))
def test_a_missing_part_of_the_faces_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == module else real(name, package),
    )
    with pytest.raises(FacesMissingError) as caught:
        require_faces()
    assert caught.value.what == NEEDED[module]
    assert "请刷卡" in str(caught.value)


def test_an_import_that_ends_the_process_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a setuptools that is too new, face_recognition prints a line and exits with status 0."""

    class Quitter:
        def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
            return ModuleSpec(name, self) if name == "face_recognition" else None

        def create_module(self, _spec: ModuleSpec) -> None:
            return None

        def exec_module(self, _module: object) -> None:
            ImageFile.LOAD_TRUNCATED_IMAGES = True
            raise SystemExit(0)

    monkeypatch.delitem(sys.modules, "face_recognition", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Quitter(), *sys.meta_path])
    with pytest.raises(FacesMissingError):
        load_model()
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
