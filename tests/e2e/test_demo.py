"""The demo from outside: its story on both brokers, kill -9 of it, and a second start on the same data."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.known_faces import faces_in_database, faces_in_files, recording

STORY_WITHIN_S = 240
GONE_WITHIN_S = 5
STEPS = 17


@dataclass
class Demo:
    """One running demo and its data folder."""

    process: subprocess.Popen[bytes]
    folder: Path
    output: Path

    def summary(self) -> dict[str, Any]:
        """What the story saw; with what was printed where there is none."""
        path = self.folder / "summary.json"
        assert path.exists(), self.output.read_text("utf-8", errors="replace")[-3000:]
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return content


def start_demo(folder: Path, *arguments: str) -> Demo:
    output = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | recording(folder.parent)
    with output.open("wb") as log:
        command = [sys.executable, "-m", "estate", "demo", "--port", "0", "--folder", str(folder), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return Demo(process, folder, output)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's data, shared by the runs of this file: the second one starts on what the first left."""
    return tmp_path_factory.mktemp("demo") / "data"


def wait_until_story_is_over(demo: Demo) -> None:
    deadline_s = time.monotonic() + STORY_WITHIN_S
    while b"Ctrl-C" not in demo.output.read_bytes():
        said = demo.output.read_text("utf-8", errors="replace")
        assert demo.process.poll() is None, said[-3000:]
        assert time.monotonic() < deadline_s, said[-3000:]
        time.sleep(0.1)


def dsn_of(folder: Path, role: str) -> str:
    """The demo's database, for one of its roles."""
    password = (folder / "secrets" / role).read_text().strip()
    database = json.loads((folder / "addresses.json").read_text("utf-8"))["database"]
    return make_conninfo(**database, user=role, password=password)


def no_face_has_left_the_estate(folder: Path) -> None:
    """Residents were enrolled and seen by real photographs: none in the database, in a log or sent up."""
    assert faces_in_database(dsn_of(folder, "estate_owner")) == []
    sent = b"".join(one.read_bytes() for one in folder.parent.glob("*.sent"))
    assert b"/api/gateway/v1/access-records" in sent, "the uplink was recorded"
    assert list((folder / "logs").glob("*.log"))
    assert faces_in_files(folder.parent) == []


def refuse_changes_to_posted_rows(folder: Path) -> None:
    """By raw SQL on the demo's database, as the application and as the owner."""
    late_posting = (
        "INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        " SELECT min(entry_id), 99, '1212.01', 1, 0 FROM journal_entry"
    )
    unbalanced = (
        "WITH one AS (INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at,"
        " line_count, total_fen, summary_zh, actor) SELECT min(book_id), 'drill', 'drill', current_date,"
        " now(), 2, 2, '-', '-' FROM book RETURNING entry_id)"
        " INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        " SELECT entry_id, 1, '1212.01', 2, 0 FROM one UNION ALL SELECT entry_id, 2, '2103.01', 0, 1 FROM one"
    )
    for role in ("estate_app", "estate_owner"):
        with psycopg.connect(dsn_of(folder, role), autocommit=True) as connection:
            entries = connection.execute("SELECT count(*), min(entry_id) FROM journal_entry").fetchone()
            assert entries is not None
            assert entries[0] > 0
            for statement in (
                "UPDATE posting SET debit_fen = debit_fen + 1",
                "DELETE FROM posting",
                "TRUNCATE posting",
                "UPDATE journal_entry SET summary_zh = '改'",
                "DELETE FROM journal_entry",
                "TRUNCATE journal_entry, posting",
                late_posting,
                unbalanced,
            ):
                with pytest.raises(psycopg.Error):
                    connection.execute(statement)
            left = connection.execute("SELECT count(*), min(entry_id) FROM journal_entry").fetchone()
            assert left == entries


@pytest.mark.timeout(2 * STORY_WITHIN_S)
def test_killed_with_9_it_leaves_no_process(folder: Path) -> None:
    demo = start_demo(folder, "--broker", "amqtt")
    try:
        wait_until_story_is_over(demo)
        assert [step for step in demo.summary()["steps"] if not step["ok"]] == []
        refuse_changes_to_posted_rows(folder)
        no_face_has_left_the_estate(folder)
        family = psutil.Process(demo.process.pid).children(recursive=True)
        assert len(family) > 8, "the demo runs on real processes"
        demo.process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(family, GONE_WITHIN_S)
        assert alive == []
    finally:
        demo.process.kill()
        demo.process.wait(10)


@pytest.mark.timeout(2 * STORY_WITHIN_S)
def test_it_plays_again_on_the_same_data_and_ends_by_itself(folder: Path) -> None:
    demo = start_demo(folder, "--broker", "mosquitto", "--once")
    family: set[psutil.Process] = set()
    deadline_s = time.monotonic() + STORY_WITHIN_S
    try:
        while demo.process.poll() is None and time.monotonic() < deadline_s:
            family.update(psutil.Process(demo.process.pid).children(recursive=True))
            time.sleep(0.2)
    except psutil.NoSuchProcess:
        demo.process.wait(5)
    assert demo.process.poll() == 0, demo.output.read_text("utf-8", errors="replace")[-3000:]
    summary = demo.summary()
    assert summary["ok"] is True
    assert len(summary["steps"]) == STEPS
    assert set(summary["steps"][0]) == {"name", "expected", "seen", "ok", "seconds"}
    assert psutil.wait_procs(list(family), GONE_WITHIN_S)[1] == []


def test_a_busy_port_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "estate", "demo", "--once", "--port", str(port)]
        command += ["--folder", str(tmp_path / "data")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "PORT=" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
