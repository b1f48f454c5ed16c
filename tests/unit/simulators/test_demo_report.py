import io
import json
from pathlib import Path

from rich.console import Console

from simulators.demo.report import Report


def make_report() -> Report:
    return Report(Console(file=io.StringIO()))


def test_a_step_is_ok_only_if_it_saw_what_was_expected(tmp_path: Path) -> None:
    report = make_report()
    report.step("门开", "open", lambda: "open")
    assert report.ok
    report.step("门关", "deny", lambda: "open")
    assert not report.ok
    report.write(tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert content["ok"] is False
    assert [step["ok"] for step in content["steps"]] == [True, False]
    assert set(content["steps"][0]) == {"name", "expected", "seen", "ok", "seconds"}


def test_a_step_that_fails_is_a_result_and_the_story_goes_on() -> None:
    report = make_report()

    def broken() -> str:
        raise ValueError("no door")

    report.step("坏", "open", broken)
    report.step("好", "open", lambda: "open")
    assert [step.seen for step in report.steps] == ["ValueError: no door", "open"]
    assert not report.ok


def test_no_story_is_not_a_success() -> None:
    assert not make_report().ok
