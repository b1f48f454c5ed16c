"""Where a pack is made before it is filed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from backend.closing.errors import PackFolderError

IN_USE = "in-use"


@contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """A folder beside the pack's place, so that filing it is one rename; removes what a killed close left.

    What another close still works in stays: its pack may be recorded and about to be filed.

    Raises:
        PackFolderError: the folder cannot be made.
    """
    prefix = f".{path.name}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{prefix}*"):
            _remove_unless_used(left)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        held = _hold(work)
    except OSError as error:
        raise PackFolderError(str(path)) from error
    try:
        yield work
    finally:
        shutil.rmtree(work)
        held.close()


def _remove_unless_used(left: Path) -> None:
    # Another one removes it at the same moment, or whoever made it still lives.
    with suppress(FileNotFoundError, BlockingIOError), _hold(left):
        shutil.rmtree(left)


def _hold(work: Path) -> IO[bytes]:
    """The sign that somebody works there; the kernel takes it away when they end, however they end."""
    held = (work / IN_USE).open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise
    return held
