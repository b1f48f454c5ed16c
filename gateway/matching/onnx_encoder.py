"""Runs an operator's own face model; the one home of onnxruntime.

Faces are found by dlib as for the default encoder. The face is then turned and scaled so that eyes and nose
lie where models of this kind expect them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from gateway.matching.model_file import FaceModel
from gateway.matching.quality import Face, Pixels
from gateway.matching.templates import Floats

# Where the eyes' middles and the nose lie in an aligned face of 112 by 112 pixels, as (x, y): the picture's
# left eye first. The customary alignment of face models that take 112 pixels (five points; ours finds no
# mouth, and three points fix a turn, a scale and a shift as well).
_SIDE = 112
_PLACES = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74]])

Points = npt.NDArray[np.float64]


class ModelUnusableError(Exception):
    """The file is no model of a face that fits its description."""

    def __init__(self, model: FaceModel, reason: str) -> None:
        self.model, self.reason = model, reason
        super().__init__(
            f"人脸模型 {model.file} 无法使用：{reason}  |  "
            f"The face model {model.file} cannot be used: {reason}"
        )


class OnnxEncoder:
    """One loaded model.

    Raises:
        ModelUnusableError: onnxruntime is not installed, or the file does not fit its description.
    """

    def __init__(self, model: FaceModel) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 (an extra; loaded only where a model is configured)
        except ImportError as error:
            raise ModelUnusableError(model, "未安装 onnx 组件 (the onnx extra is not installed)") from error
        options = onnxruntime.SessionOptions()
        # One process a core, as for the default encoder.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model.file), options, providers=["CPUExecutionProvider"]
            )
            self._input = self._session.get_inputs()[0].name
        except Exception as error:
            raise ModelUnusableError(model, _first_line(error)) from error
        self._model = model
        self._try()

    def encode(self, picture: Pixels, face: Face) -> Floats:
        """A face's template.

        Args:
            picture: RGB, uint8, shape (height, width, 3).
            face: where it is.
        Returns:
            float32, shape (dimension,), of the model's own length.
        """
        return self._run(aligned(picture, face, self._model.side))

    def _run(self, pixels: Pixels) -> Floats:
        ordered = pixels if self._model.colour == "rgb" else pixels[:, :, ::-1]
        scaled = (ordered.astype(np.float32) - np.float32(self._model.mean)) * np.float32(self._model.scale)
        batch = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
        made = np.asarray(self._session.run(None, {self._input: batch})[0], np.float32)
        return made.reshape(-1)

    def _try(self) -> None:
        """Run it once, so that a wrong shape is told at the start and not at a door."""
        side = self._model.side
        try:
            made = self._run(np.full((side, side, 3), 127, np.uint8))
        except Exception as error:
            raise ModelUnusableError(self._model, _first_line(error)) from error
        if made.shape != (self._model.dimension,):
            raise ModelUnusableError(
                self._model,
                f"输出 {made.size} 维，说明文件写的是 {self._model.dimension} "
                f"(it gives {made.size} numbers, its description says {self._model.dimension})",
            )


def aligned(picture: Pixels, face: Face, side: int) -> Pixels:
    """Cut a face out, upright and of one size.

    Args:
        picture: RGB, uint8, shape (height, width, 3).
        face: with its five points, the picture's right eye first as dlib gives them.
        side: pixels.
    Returns:
        RGB, uint8, shape (side, side, 3); black where the picture ends.
    """
    right_outer, right_inner, left_inner, left_outer, nose = (np.array(point) for point in face.landmarks)
    seen = np.array([(right_outer + right_inner) / 2, (left_inner + left_outer) / 2, nose])
    # Which eye is which side of the picture is read off the picture itself.
    seen[:2] = seen[:2][np.argsort(seen[:2, 0])]
    turn, shift = similarity(_PLACES * (side / _SIDE), seen)
    coefficients = (turn[0, 0], turn[0, 1], shift[0], turn[1, 0], turn[1, 1], shift[1])
    image = Image.fromarray(picture).transform(
        (side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(image)


def similarity(start: Points, end: Points) -> tuple[Points, Points]:
    """The turn with scale, shape (2, 2), and the shift, shape (2,), that bring `start` nearest to `end`.

    Args:
        start, end: points, shape (n, 2) each, not all the same.
    Source: least squares over a + bi as one complex factor, which is a turn and a scale and no mirror.
    """
    one, two = start @ np.array([1, 1j]), end @ np.array([1, 1j])
    one_middle, two_middle = one.mean(), two.mean()
    factor = np.vdot(one - one_middle, two - two_middle) / np.vdot(one - one_middle, one - one_middle)
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return turn, np.array([two_middle.real, two_middle.imag]) - turn @ [one_middle.real, one_middle.imag]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
