"""The part of the configuration that may change while doors are served: limits and times.

Read anew when the file has changed or on SIGHUP, by the loop itself between two batches, so that no message
sees half of it. A file that is wrong is refused as a whole and the policy of before goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import structlog
from msgspec import Struct, structs

from estate.config import SettingsError
from gateway.settings import Settings

# What may change: sections, or single keys of one.
RELOADED: dict[str, frozenset[str]] = {
    "doors": frozenset(),
    "journal": frozenset({"hours", "answer_wait_ms"}),
    "faces": frozenset({"fpir"}),
}
_Stamp: TypeAlias = tuple[int, int, int] | None

log = structlog.get_logger()


class PolicyState(Struct, frozen=True):
    """What became of the last change of the file."""

    refused: str = ""  # why the file as it is now is not used
    needs_restart: tuple[str, ...] = ()  # keys that have changed and count only after a restart


class PolicyKeeper:
    """Belongs to the loop.

    Args:
        path: the file.
        read: reads and checks it.
        settings: as they are in use.
        apply: hands new ones to the parts that live by them.
    """

    def __init__(
        self, path: Path, read: Callable[[], Settings], settings: Settings, apply: Callable[[Settings], None]
    ) -> None:
        self._path, self._read, self._apply = path, read, apply
        self._started_with = settings
        self._asked = False
        self._stamp = self._look()
        self.settings = settings
        self.state = PolicyState()

    def ask(self) -> None:
        """Read it anew with the next tick; may be called by a signal."""
        self._asked = True

    def tick(self) -> None:
        """Once a second."""
        stamp = self._look()
        if stamp != self._stamp or self._asked:
            self._stamp, self._asked = stamp, False
            self._reload()

    def _look(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _reload(self) -> None:
        try:
            read = self._read()
        except SettingsError as error:
            log.error("policy_refused", reason=str(error))
            self.state = PolicyState(str(error), self.state.needs_restart)
            return
        new = _with_policy(self._started_with, read)
        self.state = PolicyState(needs_restart=tuple(sorted(_differences(new, read))))
        changed = sorted(_differences(self.settings, new))
        if changed:
            self._apply(new)
            self.settings = new
        log.warning("policy_read", changed=changed, needs_restart=list(self.state.needs_restart))

    def sentences(self) -> list[str]:
        """What somebody should look at."""
        found = []
        if self.state.refused:
            found.append(
                f"新配置未采用，仍按原配置运行：{self.state.refused}  |  "
                f"the changed configuration is not used, the one before is: {self.state.refused}"
            )
        if self.state.needs_restart:
            keys = ", ".join(self.state.needs_restart)
            found.append(f"这些配置改动重启后才生效：{keys}  |  changed, and counts after a restart: {keys}")
        return found


def _with_policy(settings: Settings, read: Settings) -> Settings:
    """`settings` with the policy of `read`."""
    sections = {}
    for name, keys in RELOADED.items():
        old, new = getattr(settings, name), getattr(read, name)
        sections[name] = structs.replace(old, **{key: getattr(new, key) for key in keys}) if keys else new
    return structs.replace(settings, **sections)


def _differences(one: Settings, other: Settings) -> set[str]:
    """The keys, each with its section, in which two configurations differ."""
    found = set()
    for section in one.__struct_fields__:
        left, right = getattr(one, section), getattr(other, section)
        if isinstance(left, Struct):
            found |= {
                f"{section}.{key}"
                for key in left.__struct_fields__
                if getattr(left, key) != getattr(right, key)
            }
        elif left != right:
            found.add(section)
    return found
