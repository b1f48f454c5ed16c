"""Long work in helper processes does what it does here."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from backend.closing.helpers import ROWS_WORTH_A_HELPER, Helpers


def test_short_work_is_done_here_and_long_work_in_another_process() -> None:
    with Helpers() as helpers:
        here = helpers.start(ROWS_WORTH_A_HELPER - 1, os.getpid)
        elsewhere = helpers.start(ROWS_WORTH_A_HELPER, os.getpid)
    assert here.result() == os.getpid()
    assert elsewhere.result() != os.getpid()


def test_what_only_waits_is_waited_for_beside_everything_else_and_done_at_the_end() -> None:
    gate = threading.Event()
    with Helpers() as helpers:
        waiting = helpers.wait(gate.wait, 30)
        assert not waiting.done()
        helpers.start(1, gate.set)
    assert waiting.result(0)


@pytest.mark.filterwarnings("error")
def test_a_failure_in_a_helper_is_told_with_its_own_error(tmp_path: Path) -> None:
    with Helpers() as helpers:
        failing = helpers.start(ROWS_WORTH_A_HELPER, os.listdir, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        failing.result()
