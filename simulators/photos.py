"""Real photographs for the demo and the tests, fetched at set-up; the repository holds none.

They come out of two published packages, pinned by hash in `locks/photos.txt` and fetched with pip: the
sample pictures of face_recognition (official portraits of two holders of United States federal office,
works of the federal government and so in the public domain; MIT-licensed package) and scikit-image's
`astronaut` (a NASA portrait, public domain; BSD-licensed package). Files are named by person, not by name:
here they stand for invented residents. Each picture is checked against a SHA-256 of its own.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from estate.processes import StartFailedError

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "locks" / "photos.txt"
FOLDER = ROOT / "var" / "photos"

_SAMPLES = "face_recognition-1.3.0/tests/test_images/"


@dataclass(frozen=True, slots=True)
class _Picture:
    name: str  # in our folder
    member: str  # in its package
    sha256: str


_FROM_SDIST = (
    _Picture(
        "person-a-1.jpg",
        _SAMPLES + "obama.jpg",
        "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
    ),
    _Picture(
        "person-a-2.jpg",
        _SAMPLES + "obama2.jpg",
        "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
    ),
    _Picture(
        "person-a-3.jpg",
        _SAMPLES + "obama3.jpg",
        "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
    ),
    _Picture(
        "person-a-part-1.jpg",
        _SAMPLES + "obama_partial_face.jpg",
        "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117",
    ),
    _Picture(
        "person-a-part-2.jpg",
        _SAMPLES + "obama_partial_face2.jpg",
        "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028",
    ),
    _Picture(
        "person-b.jpg",
        _SAMPLES + "biden.jpg",
        "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
    ),
)
_FROM_WHEEL = (
    _Picture(
        "person-c.png",
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
)


class PhotosError(StartFailedError):
    """The photographs could not be had; the message says why and what to do."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"演示照片未就绪：{zh}  |  The demo's photographs are not ready: {en}")


@dataclass(frozen=True, slots=True)
class DemoPhotos:
    """The photographs by person.

    Attributes:
        a: three of person A, taken on different days.
        a_parts: two of person A with half the face cut off.
        b, c: one each of two other people.
    """

    a: tuple[Path, Path, Path]
    a_parts: tuple[Path, Path]
    b: Path
    c: Path


def photos(folder: Path = FOLDER) -> DemoPhotos:
    """The photographs in `folder`, fetched first if they are not there yet.

    Raises:
        PhotosError: no network, a picture that is not the pinned one, or a disk that cannot be written.
    """
    wanted = (*_FROM_SDIST, *_FROM_WHEEL)
    if not all(_is_here(folder, picture) for picture in wanted):
        try:
            _fetch(folder)
        except OSError as error:
            raise PhotosError(
                f"{folder} 无法写入（{error.strerror}），请检查磁盘空间和权限",
                f"{folder} cannot be written ({error.strerror}): check the disk's space and rights",
            ) from error
    a1, a2, a3, part1, part2, b, c = (folder / picture.name for picture in wanted)
    return DemoPhotos((a1, a2, a3), (part1, part2), b, c)


def second_view(path: Path) -> bytes:
    """A JPEG made from the same photograph: tilted, cut closer and darker, as a door's camera might see it.

    It stands in where a person has only one photograph. It is the same moment of the same face, so it
    shows that the parts work together and says nothing about how well faces are recognised.
    """
    with Image.open(path) as picture:
        view = picture.convert("RGB").rotate(4, Image.Resampling.BICUBIC)
        width, height = view.size
        view = view.crop((int(width * 0.04), int(height * 0.03), int(width * 0.97), int(height * 0.96)))
        return _jpeg(ImageEnhance.Brightness(view).enhance(0.8))


def mirrored_view(path: Path) -> bytes:
    """A JPEG of the same photograph, mirrored; as little a new photograph as `second_view`."""
    with Image.open(path) as picture:
        return _jpeg(ImageOps.mirror(picture.convert("RGB")))


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _is_here(folder: Path, picture: _Picture) -> bool:
    try:
        return hashlib.sha256((folder / picture.name).read_bytes()).hexdigest() == picture.sha256
    except OSError:
        return False


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        _download(Path(scratch))
        for picture in _FROM_SDIST:
            with tarfile.open(_only(Path(scratch), "*.tar.gz")) as sdist:
                member = sdist.extractfile(picture.member)
                _keep(folder, picture, member.read() if member is not None else b"")
        for picture in _FROM_WHEEL:
            with zipfile.ZipFile(_only(Path(scratch), "*.whl")) as wheel:
                _keep(folder, picture, wheel.read(picture.member))


def _download(folder: Path) -> None:
    # The sdist's metadata is asked for by pip and needs setuptools: the pinned one of this environment,
    # not an isolated one from the network. Nothing of either package is run or installed.
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "download"),
        *("--no-deps", "--require-hashes", "--no-build-isolation"),
        *("--no-binary", "face-recognition", "--only-binary", "scikit-image"),
        *("--requirement", str(LOCK), "--dest", str(folder)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"pip: {done.returncode}"
        raise PhotosError(
            f"下载软件包失败（{reason}）；请检查网络后重试",
            f"downloading the packages failed ({reason}): check the network and run this again",
        )


def _only(folder: Path, pattern: str) -> Path:
    return next(folder.glob(pattern))


def _keep(folder: Path, picture: _Picture, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise PhotosError(
            f"{picture.name} 与登记的校验值不符，未采用",
            f"{picture.name} is not the pinned picture; it was not taken",
        )
    beside = folder / f".{picture.name}.{os.getpid()}"
    beside.write_bytes(content)
    beside.replace(folder / picture.name)


def main() -> None:
    """`python -m simulators.photos`: have the photographs ready under var/photos."""
    try:
        photos()
    except PhotosError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
