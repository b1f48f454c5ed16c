"""Whether a picture is good enough, as data: each reason with the sentence that a person is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a picture gave no template, and what to do about it."""

    code: str
    zh: str
    en: str


_SENTENCES = (
    (
        "not_an_image",
        "这不是照片文件（JPEG 或 PNG），请重新选择",
        "This is not a photograph (JPEG or PNG). Choose another file.",
    ),
    (
        "too_many_bytes",
        "照片文件太大（超过 12 MB），请换一张",
        "The file is larger than 12 MB. Choose another one.",
    ),
    (
        "too_many_pixels",
        "照片像素过高（超过 2400 万），请用普通模式重拍",
        "The photograph has more than 24 million pixels. Take it again in normal mode.",
    ),
    (
        "damaged",
        "照片文件不完整或已损坏，请重新上传",
        "The file is cut off or damaged. Upload it again.",
    ),
    (
        "no_face",
        "没有找到人脸，请正对镜头重拍",
        "No face was found. Face the camera and try again.",
    ),
    (
        "two_faces",
        "照片里不止一个人，请单独拍",
        "There is more than one face. Be alone in the picture.",
    ),
    (
        "cut_off",
        "脸没有完整拍进来，请把整张脸放在画面里",
        "Part of the face is outside the picture. Get all of it in.",
    ),
    (
        "too_small",
        "人脸太小，请靠近一些",
        "The face is too small. Come closer.",
    ),
    (
        "too_dark",
        "光线太暗，请到亮处再拍",
        "It is too dark. Find a brighter place.",
    ),
    (
        "too_bright",
        "光线太强，请避开强光再拍",
        "It is too bright. Keep out of the glare.",
    ),
    (
        "blurred",
        "照片模糊，请拿稳、对焦后再拍",
        "The picture is blurred. Hold still and try again.",
    ),
    (
        "turned_away",
        "脸没有正对镜头，请转正再拍",
        "The face is turned away. Look straight at the camera.",
    ),
    (
        "encoder_failed",
        "识别程序出错，请重试；仍不行请用卡",
        "Recognition failed on this picture. Try again, or use a card.",
    ),
    (
        "encoder_missing",
        "本机未安装人脸组件；安装 faces 组件后重启",
        "The faces extra is not installed. Install it and restart.",
    ),
)
REASONS: Final = {code: Reason(code, zh, en) for code, zh, en in _SENTENCES}


@dataclass(frozen=True, slots=True)
class Face:
    """One face in a picture, in pixels of that picture.

    Attributes:
        left, top, right, bottom: its box.
        confidence: of the detector; false finds have about 0.1, clear faces 1 and more.
        landmarks: outer and inner corner of one eye, outer and inner corner of the other, base of the nose.
    """

    left: int
    top: int
    right: int
    bottom: int
    confidence: float
    landmarks: tuple[Point, Point, Point, Point, Point]

    @property
    def width(self) -> int:
        """Of the box."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Of the box."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still good enough."""

    width_min: int  # pixels of the face's box
    brightness_min: float  # mean grey of the face, 0 to 255
    brightness_max: float
    sharpness_min: float  # see `sharpness`
    turn_max: float  # see `turn`
    second_face_min: float  # a second face counts from this share of the first one's width
    whole: bool  # refuse a face that the picture's edge cuts


# A template lasts for years, so a photograph for enrolment must be better than a frame at the door.
# The lower bounds on brightness are for the light, not for the skin: they lie far below a dark face in
# ordinary light.
ENROLMENT = Limits(80, 40.0, 225.0, 6.0, 0.35, 0.4, whole=True)
DOOR = Limits(60, 25.0, 240.0, 3.0, 0.6, 0.7, whole=False)
# A pattern taken for a face must not make a second person.
CONFIDENCE_MIN = 0.3
_SIDE = 150


def main_face(faces: list[Face], limits: Limits) -> Face | Reason:
    """The face a picture is of: the largest, unless another one is about as large."""
    if not faces:
        return REASONS["no_face"]
    main = max(faces, key=lambda face: (face.confidence >= CONFIDENCE_MIN, face.width))
    others = [face for face in faces if face is not main and face.confidence >= CONFIDENCE_MIN]
    if any(other.width >= limits.second_face_min * main.width for other in others):
        return REASONS["two_faces"]
    return main


def judge(picture: Pixels, face: Face, limits: Limits) -> Reason | None:
    """The first reason against a face, or None when it is good enough.

    Args:
        picture: RGB, shape (height, width, 3).
        face: its box and landmarks in that picture.
        limits: for enrolment or for the door.
    """
    grey = grey_face(picture, face)
    brightness = float(grey.mean())
    # The detector's boxes are square until the picture's edge cuts them.
    cut = min(face.width, face.height) < 0.9 * max(face.width, face.height)
    checks = (
        ("cut_off", limits.whole and cut),
        ("too_small", face.width < limits.width_min),
        ("too_dark", brightness < limits.brightness_min),
        ("too_bright", brightness > limits.brightness_max),
        ("turned_away", turn(face) > limits.turn_max),
        ("blurred", sharpness(grey) < limits.sharpness_min),
    )
    return next((REASONS[code] for code, holds in checks if holds), None)


def grey_face(picture: Pixels, face: Face) -> npt.NDArray[np.float32]:
    """The face's box as grey values, 0 to 255, at most 150 pixels wide so that sizes compare."""
    height, width = picture.shape[:2]
    box = picture[max(0, face.top) : min(height, face.bottom), max(0, face.left) : min(width, face.right)]
    grey = Image.fromarray(box).convert("L").convert("F")  # averaging keeps fractions
    grey.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(grey, np.float32)


def sharpness(grey: npt.NDArray[np.float32]) -> float:
    """How strongly neighbouring pixels differ beyond a slope, in percent of the picture's contrast."""
    if min(grey.shape) < 3:
        return 0.0
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(100 * edges.std() / max(float(grey.std()), 1.0))


def turn(face: Face) -> float:
    """How far the nose stands from the middle between the eyes, as a share of the eyes' distance."""
    points = np.asarray(face.landmarks, np.float64)
    one, other, nose = points[:2].mean(axis=0), points[2:4].mean(axis=0), points[4]
    across = other - one
    length = float(across @ across)
    if length < 1.0:
        return 1.0
    return abs(float((nose - (one + other) / 2) @ across) / length)
