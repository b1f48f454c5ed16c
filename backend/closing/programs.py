"""Programs of others that check and show the books, run from outside: never imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from backend.closing.errors import ProgramMissingError

BEAN_CHECK = "bean-check"
INSTALL = "tools/install.sh demo（pip install 'smart-estate[books]'）"


def find_program(name: str) -> str:
    """Where a program is: beside our own Python, or on PATH.

    Raises:
        ProgramMissingError
    """
    found = _path_of(name)
    if found is None:
        raise ProgramMissingError(name, INSTALL)
    return found


def is_installed(name: str) -> bool:
    """Whether `find_program` finds it."""
    return _path_of(name) is not None


def _path_of(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def bean_check(path: Path) -> list[str]:
    """What beancount finds wrong with a file; nothing when it finds nothing."""
    # Its cache would lie beside the file, and what lies there already would be believed.
    command = [find_program(BEAN_CHECK), "--no-cache", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    return [line for line in said.splitlines() if line] if done.returncode else []


def hledger_check(path: Path) -> list[str]:
    """What hledger finds wrong with a journal in its strict mode.

    Raises:
        ProgramMissingError: it comes with Debian (`tools/debian.sh`), not with Python packages.
    """
    program = shutil.which("hledger")
    if program is None:
        raise ProgramMissingError("hledger", "tools/debian.sh（apt-get install hledger）")
    # It reads files in the locale's encoding.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, "-f", str(path), "check", "--strict"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    return [line for line in done.stderr.splitlines() if line] if done.returncode else []
