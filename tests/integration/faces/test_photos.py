import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import simulators.photos as module
from simulators.photos import PhotosError, photos

HERE = module.FOLDER


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def test_every_picture_is_the_pinned_one() -> None:
    found = photos()
    paths = (*found.a, *found.a_parts, found.b, found.c)
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 7
    for picture in (*module._FROM_SDIST, *module._FROM_WHEEL):
        assert hashlib.sha256((HERE / picture.name).read_bytes()).hexdigest() == picture.sha256


@pytest.mark.usefixtures("offline")
def test_pictures_that_are_there_need_no_network() -> None:
    done = subprocess.run([sys.executable, "-m", "simulators.photos"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("offline")
def test_without_network_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PhotosError) as caught:
        photos(tmp_path / "photos")
    assert "请检查网络" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "photos").iterdir()) == []


def test_a_picture_that_was_changed_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for picture in (*module._FROM_SDIST, *module._FROM_WHEEL):
        os.link(HERE / picture.name, tmp_path / picture.name)
    (tmp_path / "person-b.jpg").unlink()
    (tmp_path / "person-b.jpg").write_bytes(b"half a pict")
    fetched = []
    monkeypatch.setattr(module, "_fetch", fetched.append)
    photos(tmp_path)
    assert fetched == [tmp_path]


def test_a_picture_that_is_not_the_pinned_one_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match=r"person-a-1\.jpg"):
        module._keep(tmp_path, module._FROM_SDIST[0], b"something else")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "photos").write_text("a file stands where the folder should be")
    with pytest.raises(PhotosError, match="无法写入"):
        photos(tmp_path / "photos")
