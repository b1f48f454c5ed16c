"""tools/install.sh, with a Python that only notes what it was asked."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = """#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
*"-m venv"*)
    rm -rf .venv && mkdir -p .venv/bin
    [ -z "$INTERRUPT" ] || { cp "$0" .venv/bin/python; kill -KILL $PPID; exit 1; }
    cp "$0" .venv/bin/python ;;
*hashlib*) cat >/dev/null; echo digest ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A checkout with nothing installed."""
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "install.sh", tmp_path / "tools")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def install(home: Path, interrupt: str = "") -> list[str]:
    """Run it; what Python was asked."""
    log = home / "log"
    log.write_text("")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": str(home / "python"),
        "LOG": str(log),
        "INTERRUPT": interrupt,
    }
    ended = subprocess.run([home / "tools" / "install.sh", "dev"], env=environment, check=False, cwd=home)
    assert (ended.returncode == 0) == (not interrupt)
    return log.read_text().splitlines()


def test_an_interrupt_while_the_environment_is_made_has_it_made_anew(home: Path) -> None:
    install(home, interrupt="yes")
    assert (home / ".venv" / "bin" / "python").exists()
    assert "-m venv --clear .venv" in install(home)
    assert (home / ".venv" / ".installed-dev").read_text() == "digest\n"


def test_what_is_installed_is_left_alone_and_a_finished_environment_is_kept(home: Path) -> None:
    install(home)
    assert not [asked for asked in install(home) if "-m venv" in asked or "-m pip" in asked]
    (home / ".venv" / ".installed-dev").unlink()
    again = install(home)
    assert "-m venv --clear .venv" not in again
    assert [asked for asked in again if "-m pip" in asked]
