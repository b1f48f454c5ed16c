"""What the gateway's commands share: the configuration's option, and a disk's faults as one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from estate.processes import StartFailedError

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/gateway.toml"),
    show_default=True,
    help="配置文件  |  the configuration",
)


@contextmanager
def told_plainly(place: Path, *expected: type[Exception]) -> Iterator[None]:
    """A disk that does not play along is one sentence, not a trace.

    Args:
        place: where it is, if the error itself does not say.
        expected: errors of ours whose own sentence is told.
    Raises:
        StartFailedError: in place of those.
    """
    try:
        yield
    except expected as error:
        raise StartFailedError(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        where = getattr(error, "filename", None) or place
        raise StartFailedError(
            f"{where} 无法读写（{error}）；请检查磁盘空间和权限  |  "
            f"{where} cannot be read or written ({error}): check the disk's space and rights"
        ) from error
