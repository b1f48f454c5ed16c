"""Where an embedded server's files may lie so that the user it runs as can reach them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import IO

import structlog

from estate.processes import StartFailedError

# Outlives a restart of the machine, and every user may pass through it.
SHARED_FOLDER = Path("/var/tmp")  # noqa: S108 (what lies below is made and checked by `folder_elsewhere`)

FREE_BYTES_MIN = 1024 * 1024  # with less, a program may not even get its reason into its log


def can_reach(path: Path, user: str | None) -> bool:
    """Whether `user` (None: ourselves) may read the file `path`, or pass through the folder `path`.

    Asked of the kernel, as that user: reading the modes would miss access lists and mount options.
    """
    command = ["/usr/bin/test", "-x" if path.is_dir() else "-r", str(path)]
    owner = pwd.getpwnam(user) if user is not None else None
    asked = subprocess.run(
        command,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        check=False,
    )
    return asked.returncode == 0


def own_folder(path: Path, user: str | None) -> None:
    """Make `path` a folder that only `user` (None: ourselves) may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        owner = pwd.getpwnam(user)
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def reachable_home(folder: Path, user: str | None) -> Path:
    """`folder`, made if needed, or a folder below /var/tmp that takes its place where `user` cannot enter.

    Whoever deletes `folder` means its data too: what lies below /var/tmp is emptied when `folder` no
    longer knows of it.
    """
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711)
    if can_reach(folder, user):
        return folder
    home = folder_elsewhere(folder)
    token, identity = folder / "data-elsewhere", home / "identity"
    if not (token.exists() and identity.exists() and token.read_bytes() == identity.read_bytes()):
        for old in home.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        identity.write_text(os.urandom(16).hex(), encoding="utf-8")
        token.write_bytes(identity.read_bytes())
    structlog.get_logger().info(
        "folder_elsewhere",
        asked=str(folder),
        used=str(home),
        zh=f"用户 {user} 进不了所给目录，数据放在 {home}",
        en=f"user {user} cannot enter the folder asked for; the data lies in {home}",
    )
    return home


def folder_elsewhere(asked: Path) -> Path:
    """A folder of ours that every user can pass through, always the same one for `asked`; made if needed.

    Raises:
        StartFailedError: somebody else made a folder of that name.
    """
    name = hashlib.sha256(os.fsencode(asked.absolute())).hexdigest()[:16]
    place = SHARED_FOLDER / f"smart-estate-{name}"
    place.mkdir(mode=0o711, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StartFailedError(
            f"{place} 属于别的用户，不能使用；请删除它后重试。  |  "
            f"{place} belongs to another user and cannot be used; remove it and try again."
        )
    place.chmod(0o711)
    return place


def put_file(file: Path, content: bytes, mode: int) -> None:
    """Write the whole of `file` at once, and never readable for more than `mode` says."""
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
        target.write(content)
    unfinished.chmod(mode)
    unfinished.replace(file)


def claim(file: Path, folder: Path) -> IO[bytes]:
    """Hold `file` as the sign that we use `folder`; the kernel lets go of it when we end, however we end.

    Raises:
        StartFailedError: another live process holds it.
    """
    held = file.open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise folder_in_use(folder) from None
    return held


def folder_in_use(folder: Path) -> StartFailedError:
    """The error for a folder that another live server works on."""
    return StartFailedError(
        f"目录 {folder} 正被另一个正在运行的服务使用；请先停止它，或换一个目录。  |  "
        f"Another running server uses {folder}; stop it first, or choose another folder."
    )


def refused_by_system(error: OSError, folder: Path) -> StartFailedError:
    """The operating system's refusal as a sentence that says what to do."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(folder)
    return StartFailedError(
        f"不能使用目录 {folder}：{error}；请检查它的权限，或换一个目录。  |  "
        f"{folder} cannot be used: {error}; check who may write there, or choose another folder."
    )


def is_disk_full(log: str, folder: Path) -> bool:
    """Whether a program that worked in `folder` and said `log` found no room there."""
    # "wrote only": PostgreSQL's words for the write that filled the disk.
    said = any(words in log for words in ("No space left on device", "Disk quota exceeded", "wrote only"))
    return said or shutil.disk_usage(folder).free < FREE_BYTES_MIN


def disk_full(folder: Path) -> StartFailedError:
    """The error for a disk without room."""
    return StartFailedError(
        f"磁盘已满：{folder} 所在的磁盘没有空间；请腾出空间后重试。  |  "
        f"The disk is full: there is no room where {folder} lies; free some and try again."
    )
