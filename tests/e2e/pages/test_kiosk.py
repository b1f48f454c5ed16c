"""The enrolment desk as a clerk meets it: from the city's page, a camera, files, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.counter import Counter
from gateway.kiosk.app import create_app
from simulators.photos import photos
from tests.e2e.pages.windows import measured, overflow_px, press
from tests.integration.kiosk.conftest import CONSENTS, ESTATE_KEY, NOW_S, Box, ticket
from tests.wsgi import served


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.roster(ann=CONSENTS)
    return made


@pytest.fixture
def desk_url(box: Box) -> Iterator[str]:
    with Counter(box.settings, roster_wait_s=0) as counter, closing(box.shelf()) as shelf:
        app = create_app(counter, shelf, lambda: {"e1": ESTATE_KEY}, lambda: NOW_S)
        with served(app) as port:
            yield f"http://127.0.0.1:{port}"


def open_desk(page: Page, url: str) -> None:
    """As the city's page does: a form on another site that carries the ticket."""
    page.set_content(
        f'<form method="post" action="{url}/enrol"><input name="ticket" value="{ticket("ann")}">'
        "<button>go</button></form>"
    )
    press(page.get_by_role("button", name="go"))
    page.get_by_role("heading", name="陈某某").wait_for()


def test_a_clerk_uses_the_camera_is_told_what_is_wrong_and_then_chooses_files(
    browser: Browser, desk_url: str, box: Box
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, permissions=["camera"])
    page = context.new_page()
    open_desk(page, desk_url)
    page.get_by_role("button", name="打开摄像头").click()
    page.get_by_role("button", name="拍一张").click()
    page.locator("#chosen img").wait_for()
    press(page.get_by_role("button", name="登记").last)
    expect(page.get_by_role("alert")).to_contain_text("没有找到人脸")
    assert overflow_px(page) == 0
    page.set_input_files("#photos", [str(path) for path in photos().a[:3]])
    expect(page.locator("#chosen img")).to_have_count(3)
    press(page.get_by_role("button", name="登记").last)
    page.get_by_role("heading", name="登记成功").wait_for()
    assert box.enrolled() == {"ann"}
    context.close()


def test_without_a_camera_files_can_still_be_chosen(browser: Browser, desk_url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none'))")
    open_desk(page, desk_url)
    page.get_by_role("button", name="打开摄像头").click()
    page.locator("#camera-failed").wait_for()
    assert page.locator("#photos").is_visible()
    context.close()


def test_a_doors_camera_takes_the_pictures_and_the_clerk_sees_them_first(
    browser: Browser, desk_url: str, box: Box
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    open_desk(page, desk_url)
    press(page.get_by_role("button", name="用这台拍"))
    page.get_by_text("已拍到 0 张").wait_for()
    with closing(box.shelf()) as shelf:
        [(address, request_id)] = shelf.asked(NOW_S).items()
        assert address == ("e1", "gate")
        for path in photos().a[:3]:
            shelf.put(request_id, path.read_bytes())
    page.get_by_text("已拍到 3 张").wait_for()  # it looks again by itself
    widths_px = measured(page, "[...document.querySelectorAll('#chosen img')].map(one => one.naturalWidth)")
    assert len(widths_px) == 3
    assert all(widths_px)
    press(page.get_by_role("button", name="都是本人"))
    page.get_by_role("heading", name="登记成功").wait_for()
    assert box.enrolled() == {"ann"}
    with closing(box.shelf()) as shelf:
        assert shelf.asked(NOW_S) == {}
    context.close()


def test_looking_again_does_not_call_off_an_enrolment_that_is_under_way(
    browser: Browser, desk_url: str, box: Box
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    open_desk(page, desk_url)
    press(page.get_by_role("button", name="用这台拍"))
    with closing(box.shelf()) as shelf:
        (request_id,) = shelf.asked(NOW_S).values()
        shelf.put(request_id, photos().a[0].read_bytes())
    press(page.get_by_role("button", name="看看拍到了没有"))
    # The answer takes its time: whatever is sent, nothing comes back.
    page.evaluate(
        """() => {
            window.sent = [];
            document.addEventListener("submit", (event) => {
                event.preventDefault();
                window.sent.push(new URL(event.target.action).pathname);
            });
        }"""
    )
    page.get_by_role("button", name="都是本人").click()
    page.clock.run_for(10_000)
    assert page.evaluate("window.sent") == ["/enrol/panel/enrol"]
    context.close()
