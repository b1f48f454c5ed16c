import json
from collections.abc import Iterator

import pytest
import structlog

from estate.logs import configure_logs


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_process_level_time_and_facts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("gateway")
    structlog.get_logger().info("door_opened", device="d1", zh="已开门")
    written = capsys.readouterr().err
    line = json.loads(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "door_opened",
        "level": "info",
        "process": "gateway",
        "device": "d1",
        "zh": "已开门",
    }
    assert "已开门" in written


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_a_trace_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("worker")
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_nothing_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("worker")
    structlog.get_logger().error("failed")
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err
