"""The kiosk from outside: real photographs, a real encoder, a real vault."""

import io
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from PIL import Image, ImageOps
from werkzeug.test import TestResponse

from estate.processes import free_port, wait_until
from gateway.kiosk.app import REQUEST_BYTES_MAX
from simulators.photos import DemoPhotos, photos, second_view
from tests.integration.kiosk.conftest import CONSENTS, Box, ticket
from tests.unit.faces.test_photo import png_claiming


@pytest.fixture(scope="module")
def people() -> DemoPhotos:
    return photos()


def send(kiosk: FlaskClient, of: str, *pictures: bytes) -> TestResponse:
    # Put together here: the test client would keep a large body in a file of its own.
    field = b'--b\r\nContent-Disposition: form-data; name="'
    parts = [field + b'ticket"\r\n\r\n' + of.encode()]
    parts += [field + b'photos"; filename="p.jpg"\r\n\r\n' + picture for picture in pictures]
    body = b"\r\n".join([*parts, b"--b--\r\n"])
    return kiosk.post("/enrol/photographs", data=body, content_type="multipart/form-data; boundary=b")


def test_a_clerk_enrols_somebody_from_the_citys_page(
    box: Box, kiosk: FlaskClient, people: DemoPhotos
) -> None:
    box.roster(ann=CONSENTS)
    page = kiosk.post("/enrol", data={"ticket": ticket("ann")})
    assert page.status_code == 200
    assert "陈某某" in page.text
    done = send(kiosk, ticket("ann"), *(path.read_bytes() for path in people.a[:2]))
    assert done.status_code == 200, done.text
    assert "登记成功" in done.text
    assert "2 张照片" in done.text
    assert box.enrolled() == {"ann"}


def test_no_photograph_is_left_anywhere(
    box: Box, kiosk: FlaskClient, people: DemoPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **_given: object) -> None:
        raise AssertionError("a photograph was to be written to the disk")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", refuse)
    box.roster(ann=CONSENTS)
    photo = people.a[0].read_bytes()
    assert len(photo) > 1000
    assert send(kiosk, ticket("ann"), photo).status_code == 200
    written = b"".join(path.read_bytes() for path in box.folder.rglob("*") if path.is_file())
    assert photo[200:260] not in written
    with closing(box.vault()) as vault:
        assert vault.photographs("e1") == {}


def test_one_photograph_stays_sealed_where_the_person_agreed_to_load_panels(
    box: Box, kiosk: FlaskClient, people: DemoPhotos
) -> None:
    box.roster(ann={**CONSENTS, "panel_consent": True})
    assert send(kiosk, ticket("ann"), *(path.read_bytes() for path in people.a[:2])).status_code == 200
    with closing(box.vault()) as vault:
        kept = vault.photograph("e1", "ann")
    assert kept is not None
    with Image.open(io.BytesIO(kept)) as picture:
        assert (picture.format, max(picture.size) <= 800, len(picture.getexif())) == ("JPEG", True, 0)


@pytest.mark.parametrize(
    ("faces", "documents", "said"),
    [
        (True, {"ann": {}}, "没有有效的人脸同意"),
        (True, {}, "名单中没有此人"),
        (False, {"ann": CONSENTS}, "未启用人脸"),
    ],
)
def test_without_consent_roster_or_assessment_nobody_is_enrolled(
    box: Box,
    kiosk: FlaskClient,
    people: DemoPhotos,
    faces: bool,
    documents: dict[str, dict[str, bool]],
    said: str,
) -> None:
    box.roster(faces, **documents)
    answer = send(kiosk, ticket("ann"), people.b.read_bytes())
    assert answer.status_code == 422
    assert said in answer.text
    assert box.enrolled() == set()


def big(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(out, "PNG")
    return out.getvalue()


def side_by_side(first: Path, second: Path) -> bytes:
    """Two people in one picture, equally near."""
    faces = [ImageOps.fit(Image.open(path).convert("RGB"), (700, 900)) for path in (first, second)]
    picture, out = Image.new("RGB", (1400, 900)), io.BytesIO()
    for place, face in enumerate(faces):
        picture.paste(face, (700 * place, 0))
    picture.save(out, "JPEG", quality=92)
    return out.getvalue()


def test_two_people_in_a_photograph_are_told_so(box: Box, kiosk: FlaskClient, people: DemoPhotos) -> None:
    box.roster(ann=CONSENTS)
    answer = kiosk.post(
        "/api/enrolments",
        data={"photos": [(io.BytesIO(side_by_side(people.a[0], people.c)), "p.jpg")]},
        headers={"Authorization": f"Bearer {ticket('ann')}"},
    )
    assert answer.status_code == 422
    assert [reason["code"] for reason in answer.json["reasons"]] == ["two_faces"]  # type: ignore[index]
    assert box.enrolled() == set()


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (b"%PDF-1.7 a paper", "not_an_image"),
        (b"", "photo_count"),
        (big(600, 800), "no_face"),
        (big(6000, 5000), "too_many_pixels"),
        (png_claiming(60_000, 60_000), "too_many_pixels"),
    ],
    ids=["a renamed PDF", "nothing", "no face", "30 megapixels", "a bomb"],
)
def test_each_bad_photograph_has_its_own_sentence(
    box: Box, kiosk: FlaskClient, picture: bytes, code: str
) -> None:
    box.roster(ann=CONSENTS)
    answer = kiosk.post(
        "/api/enrolments",
        data={"photos": [(io.BytesIO(picture), "p.jpg")]},
        headers={"Authorization": f"Bearer {ticket('ann')}"},
    )
    assert answer.status_code == 422
    [reason] = answer.json["reasons"]  # type: ignore[index]
    assert (reason["code"], bool(reason["zh"]), bool(reason["en"])) == (code, True, True)


def test_more_than_may_be_sent_is_refused_before_it_is_read(kiosk: FlaskClient) -> None:
    answer = send(kiosk, ticket("ann"), bytes(REQUEST_BYTES_MAX))
    assert answer.status_code == 413
    assert "12 MB" in answer.text


def test_a_ticket_that_is_not_to_be_believed_enrols_nobody(
    box: Box, kiosk: FlaskClient, people: DemoPhotos
) -> None:
    box.roster(ann=CONSENTS)
    for wrong, said in (
        (ticket("ann", key=b"x" * 32), "不是本小区签发"),
        (ticket("ann", expires_at=1), "已过期"),
        ("rubbish", "不完整"),
        ("", "不完整"),
    ):
        answer = send(kiosk, wrong, people.b.read_bytes())
        assert (answer.status_code, said in answer.text) == (403, True)
        assert kiosk.post("/enrol", data={"ticket": wrong}).status_code == 403
    assert kiosk.post("/api/enrolments").json["reasons"][0]["code"] == "unreadable"  # type: ignore[index]
    assert box.enrolled() == set()


def test_a_face_under_two_names_opens_a_case_and_a_human_settles_it(
    box: Box, kiosk: FlaskClient, people: DemoPhotos
) -> None:
    box.roster(**{"resident-7": CONSENTS, "resident-8": CONSENTS})
    assert send(kiosk, ticket("resident-7"), *(path.read_bytes() for path in people.a[:3])).status_code == 200
    again = [second_view(path) for path in people.a[:3]]
    refused = send(kiosk, ticket("resident-8"), *again)
    assert refused.status_code == 422
    assert "另一个人名下" in refused.text
    assert "resident-7" not in refused.text
    send(kiosk, ticket("resident-8"), *again)  # pressed twice: the same case
    with closing(box.vault()) as vault:
        [case] = vault.duplicates.all()
        assert (case.person_id, case.resembles, case.operator) == ("resident-8", "resident-7", "clerk-1")
        assert case.case_id in refused.text
        vault.duplicates.settle(
            case.case_id, "different", "head clerk", "twins, both passports seen", case.found_at
        )
    assert send(kiosk, ticket("resident-8"), *again).status_code == 200
    assert box.enrolled() == {"resident-7", "resident-8"}


def test_the_kiosk_runs_as_a_process_and_says_what_is_missing(box: Box, people: DemoPhotos) -> None:
    command = [sys.executable, "-m", "estate", "gateway", "kiosk", "--config", str(box.config)]
    off = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (off.returncode, "kiosk.port" in off.stderr) == (1, True)
    port = free_port()
    environment = {**os.environ, "ESTATE_GATEWAY_KIOSK_PORT": str(port)}
    box.roster(ann=CONSENTS)
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as child:
        try:
            url = f"http://127.0.0.1:{port}"

            def answers() -> bool:
                try:
                    return requests.get(f"{url}/health", timeout=5).ok
                except requests.ConnectionError:
                    return False

            wait_until(answers, 60, "the kiosk did not come up")
            answer = requests.post(
                f"{url}/api/enrolments",
                files=[("photos", ("p.jpg", people.b.read_bytes()))],
                headers={"Authorization": f"Bearer {ticket('ann', expires_at=int(time.time()) + 600)}"},
                timeout=60,
            )
            assert answer.json() == {"enrolled": True, "photos": 1, "more_recommended": True}
        finally:
            child.terminate()
            child.wait(20)
    assert box.enrolled() == {"ann"}
