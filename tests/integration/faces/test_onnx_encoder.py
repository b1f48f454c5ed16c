"""An operator's own model: a small one made here, from the alignment to a gallery of its own."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from gateway.enrolment import Enrolled, enrol
from gateway.matching.encoder import EncodeResult, EncoderPool
from gateway.matching.gallery import Gallery
from gateway.matching.model_file import read_face_model
from gateway.matching.onnx_encoder import ModelUnusableError, OnnxEncoder, aligned, similarity
from gateway.matching.quality import Face
from gateway.matching.yardstick import NoCalibrationError, make_yardstick
from gateway.sealing import new_key
from gateway.vault import Vault
from simulators.photos import DemoPhotos, second_view
from tests.integration.faces.conftest import wait_for

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
SIDE, CELLS = 112, 16


def make_model(folder: Path, dimension: int = CELLS * CELLS, name: str = "tiny") -> Path:
    """A model that says how bright each of 16 by 16 cells of the face is, beside its mean."""
    step = SIDE // CELLS
    weights = np.ones((1, 3, step, step), np.float32) * np.array([1, 2, 3], np.float32)[None, :, None, None]
    grey = helper.make_node(
        "Conv", ["face", "weights"], ["grey"], kernel_shape=[step, step], strides=[step, step]
    )
    flat = helper.make_node("Reshape", ["grey", "shape"], ["flat"])
    mean = helper.make_node("ReduceMean", ["flat", "cells"], ["mean"], keepdims=1)
    out = helper.make_node("Sub", ["flat", "mean"], ["template"])
    graph = helper.make_graph(
        [grey, flat, mean, out],
        "tiny",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("template", TensorProto.FLOAT, [1, CELLS * CELLS])],
        [
            numpy_helper.from_array(weights / weights.sum(), "weights"),
            numpy_helper.from_array(np.array([1], np.int64), "cells"),
            numpy_helper.from_array(np.array([1, CELLS * CELLS], np.int64), "shape"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, folder / f"{name}.onnx")
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\ndimension = {dimension}\nmodel = "{name}.onnx"\n', encoding="utf-8")
    return path


def test_a_face_is_turned_scaled_and_cut_out_the_same_wherever_it_stands() -> None:
    random = np.random.default_rng(3)
    small = random.integers(0, 255, (14, 14, 3), dtype=np.uint8)
    face = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    places = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74]])
    cut = []
    for angle, scale, at in ((0.0, 1.0, (40, 30)), (0.4, 2.0, (260, 90)), (-0.3, 1.6, (120, 160))):
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        back = np.linalg.inv(turn)
        shift = -back @ np.array(at)
        coefficients = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
        picture = face.transform((600, 600), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        left, right, nose = (tuple(turn @ point + at) for point in places)
        # dlib names the eyes as the person has them: the right eye is on the left of the picture.
        found = Face(0, 0, 1, 1, 1.0, (left, left, right, right, nose))
        cut.append(aligned(np.asarray(picture), found, SIDE).astype(float))
    inner = (slice(20, 92), slice(20, 92))
    for other in cut[1:]:
        assert np.abs(other[inner] - cut[0][inner]).mean() < 8


def test_a_similarity_has_no_mirror() -> None:
    start = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    turn, shift = similarity(start, start[:, ::-1] * 3 + [5, 7])
    assert np.linalg.det(turn) > 0
    turn, shift = similarity(start, start * 3 + [5, 7])
    assert turn == pytest.approx(np.eye(2) * 3)
    assert shift == pytest.approx([5, 7])


def test_people_are_enrolled_and_found_by_an_operators_model(tmp_path: Path, people: DemoPhotos) -> None:
    path = make_model(tmp_path)
    model = read_face_model(path)
    with (
        closing(EncoderPool(1, 4, model_file=path)) as pool,
        closing(Vault(tmp_path / "vault.db", new_key())) as vault,
    ):

        def encode(photos: list[bytes], enrolment: bool = True) -> EncodeResult:
            assert pool.submit(1, photos, enrolment=enrolment)
            return wait_for(pool)[0]

        photo = people.a[0].read_bytes()
        views = encode([photo, people.b.read_bytes()]).templates
        assert views is not None
        assert views.shape == (2, CELLS * CELLS)
        # Nothing says yet from which score this encoder's faces may open.
        vault.store("e1", "b", views[1:], model.encoder, NOW)
        with pytest.raises(NoCalibrationError):
            Gallery.build(vault.templates("e1"), yardstick=make_yardstick(model, None))
        random = np.random.default_rng(1)
        cohort = tmp_path / "cohort.npz"
        strangers = random.standard_normal((60, CELLS * CELLS)).astype(np.float32)
        np.savez(
            cohort,
            templates=strangers,
            persons=np.array([f"s{number}" for number in range(60)]),
            encoder=np.array(model.encoder),
        )
        yardstick = make_yardstick(model, cohort)
        outcome = enrol(
            vault,
            lambda *_: "live",
            encode,
            estate_id="e1",
            person_id="a",
            photos=[photo],
            now=NOW,
            yardstick=yardstick,
        )
        assert outcome == Enrolled("a", 1)
        gallery = Gallery.build(vault.templates("e1"), yardstick=yardstick)
        assert set(gallery.person_ids) == {"a", "b"}
        probe = encode([second_view(people.a[0])], enrolment=False).templates
        assert probe is not None
        assert gallery.match(probe).person_id == "a"
        # The default encoder's gallery knows nobody of these.
        assert len(Gallery.build(vault.templates("e1"))) == 0


def test_a_model_that_does_not_fit_its_description_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="256"):
        OnnxEncoder(read_face_model(make_model(tmp_path, dimension=100)))
    broken = make_model(tmp_path, name="broken")
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelUnusableError, match=r"broken\.onnx"):
        OnnxEncoder(read_face_model(broken))


def test_doors_ask_for_a_card_when_the_operators_model_cannot_be_loaded(
    tmp_path: Path, people: DemoPhotos
) -> None:
    path = make_model(tmp_path)
    (tmp_path / "tiny.onnx").write_bytes(b"cut off")
    with closing(EncoderPool(1, 4, model_file=path)) as pool:
        assert pool.submit(1, [people.b.read_bytes()])
        assert wait_for(pool)[0].reason == "encoder_missing"


def test_the_colours_go_in_as_the_description_says(tmp_path: Path) -> None:
    path = make_model(tmp_path)
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[:, :130, 0] = picture[:, 130:, 2] = 250  # red on the left, blue on the right
    face = Face(0, 0, 1, 1, 1.0, ((100, 100), (110, 100), (150, 100), (160, 100), (130, 130)))
    rgb = OnnxEncoder(read_face_model(path)).encode(picture, face).reshape(CELLS, CELLS)
    path.write_text(path.read_text(encoding="utf-8") + 'colour = "bgr"\n', encoding="utf-8")
    bgr = OnnxEncoder(read_face_model(path)).encode(picture, face).reshape(CELLS, CELLS)
    # The model weighs its third colour more than its first.
    assert rgb[:, -1].mean() > rgb[:, 0].mean()
    assert bgr[:, -1].mean() < bgr[:, 0].mean()
