"""The pool of encoder processes: full, killed, hung, fed with bombs, and without its libraries."""

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from estate.processes import wait_until
from gateway.matching.encoder import EncoderPool, encoder_failed
from gateway.matching.photo import BYTES_MAX
from simulators.photos import DemoPhotos
from tests.integration.faces.conftest import DEADLINE_S, wait_for


def ready(pool: EncoderPool) -> int:
    wait_until(lambda: bool(pool.pids), DEADLINE_S, "no encoder process became ready")
    return pool.pids[0]


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(min((width * 3 + 1) * height, 72 << 20)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_full_queue_refuses_at_once_and_everything_taken_is_answered(people: DemoPhotos) -> None:
    photo = people.a[0].read_bytes()
    with closing(EncoderPool(1, 2)) as pool:
        taken = [job for job in range(30) if pool.submit(job, [photo])]
        assert 2 <= len(taken) <= 3
        assert [result.job_id for result in wait_for(pool, len(taken))] == taken
        assert pool.results() == []
        assert pool.submit(99, [photo])
        assert wait_for(pool)[0].templates is not None


def test_a_killed_process_is_replaced_and_its_job_answered(people: DemoPhotos) -> None:
    photo = people.a[0].read_bytes()
    with closing(EncoderPool(1, 4)) as pool:
        first = ready(pool)
        os.kill(first, signal.SIGSTOP)  # so that the job is surely under way when it dies
        assert pool.submit(1, [photo])
        assert pool.submit(2, [photo])
        wait_until(lambda: len(pool._waiting) == 1, DEADLINE_S, "the job was not handed out")
        os.kill(first, signal.SIGKILL)
        answers = wait_for(pool, 2)
        assert [answer.reason for answer in answers] == ["encoder_failed", None]
        assert encoder_failed(answers[0].reason)
        assert not encoder_failed("no_face")
        assert ready(pool) != first


def test_a_process_that_hangs_is_given_up(people: DemoPhotos) -> None:
    photo = people.a[0].read_bytes()
    with closing(EncoderPool(1, 4, job_seconds_max=1.0)) as pool:
        stuck = ready(pool)
        os.kill(stuck, signal.SIGSTOP)
        assert pool.submit(1, [photo])
        assert wait_for(pool)[0].reason == "encoder_failed"
        assert not psutil.pid_exists(stuck)
        ready(pool)


def test_bombs_have_their_reasons_and_bounded_memory() -> None:
    with closing(EncoderPool(1, 8)) as pool:
        process = psutil.Process(ready(pool))
        before = process.memory_info().rss
        images = [
            bomb(6_000, 5_000),  # 30 megapixels
            bomb(60_000, 60_000),
            bomb(5_000, 4_000)[:-2_000],
            b"%PDF-1.7 renamed",
            bytes(BYTES_MAX + 1),
            bomb(5_000, 4_000),
        ]
        assert pool.submit(1, images)
        answer = wait_for(pool)[0]
        assert answer.reasons == (
            *("too_many_pixels", "too_many_pixels", "damaged", "not_an_image", "too_many_bytes", "no_face"),
        )
        assert pool.pids == (process.pid,)
        assert process.memory_info().rss - before < 300 << 20


def test_closing_ends_the_processes_and_answers_what_is_under_way(people: DemoPhotos) -> None:
    pool = EncoderPool(2, 4)
    wait_until(lambda: len(pool.pids) == 2, DEADLINE_S, "the encoder processes did not become ready")
    pids = pool.pids
    os.kill(pids[0], signal.SIGSTOP)
    os.kill(pids[1], signal.SIGSTOP)
    for job in (1, 2, 3):
        assert pool.submit(job, [b"x"])
    pool.close()
    pool.close()
    assert {(result.job_id, result.reason) for result in pool.results()} == {
        *((1, "encoder_failed"), (2, "encoder_failed"), (3, "encoder_failed")),
    }
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert pool.submit(1, [people.b.read_bytes()]) is False


def test_the_processes_die_with_a_parent_killed_with_9(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from gateway.matching.encoder import EncoderPool\n"
        "pool = EncoderPool(2, 4)\n"
        "while len(pool.pids) < 2: time.sleep(0.05)\n"
        "print(*pool.pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()

    def gone() -> bool:
        return not any(psutil.pid_exists(pid) for pid in pids)

    wait_until(gone, 5.0, "an encoder process outlived its parent")


def test_a_face_recognition_that_quits_is_a_reason_and_not_a_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people: DemoPhotos
) -> None:
    """Without pkg_resources it prints a line and exits with status 0; every job is answered all the same."""
    (tmp_path / "face_recognition_models").mkdir()
    (tmp_path / "face_recognition_models" / "__init__.py").write_text("raise ImportError('pkg_resources')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(EncoderPool(1, 4)) as pool:
        assert pool.submit(1, [people.b.read_bytes()])
        answer = wait_for(pool)[0]
        assert answer.reason == "encoder_missing"
        assert encoder_failed(answer.reason)
        assert pool.submit(2, [people.b.read_bytes()])
        assert wait_for(pool)[0].reason == "encoder_missing"


def test_a_process_that_cannot_start_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = time.monotonic()
    with closing(EncoderPool(1, 4)) as pool:
        assert pool.submit(1, [b""])
        assert wait_for(pool)[0].reason == "encoder_failed"
        assert pool.submit(2, [b""])
        assert wait_for(pool)[0].reason == "encoder_failed"
        assert not pool.pids
    assert time.monotonic() - started < 30
