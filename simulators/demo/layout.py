"""Where the demo keeps its things, which ports it uses, and the secrets it makes for itself."""

from __future__ import annotations

import json
import os
import secrets
import string
from dataclasses import dataclass, fields
from pathlib import Path

from estate.processes import StartFailedError, free_port, port_answers

PASSWORD_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of the demo, all on loopback."""

    pages: int
    city: int
    uplink: int
    channel: int
    broker: int
    gateway: int
    doors: int
    kiosk: int


def choose_ports(base: int) -> Ports:
    """Eight ports from `base` on, or any free ones where `base` is 0.

    Raises:
        StartFailedError: somebody listens on one of them.
    """
    names = [field.name for field in fields(Ports)]
    if base == 0:
        return Ports(**{name: free_port() for name in names})
    ports = Ports(**{name: base + index for index, name in enumerate(names)})
    busy = [base + index for index in range(len(names)) if port_answers(base + index)]
    if busy:
        raise StartFailedError(
            f"端口 {busy[0]} 已被其他程序占用；请换一组：make demo PORT={base + 100}  |  "
            f"Port {busy[0]} is used by another program; take other ones: make demo PORT={base + 100}"
        )
    return ports


@dataclass(frozen=True, slots=True)
class Layout:
    """The demo's folders below `root` (var/demo)."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Passwords and keys, readable by their owner only."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.root / "logs"

    @property
    def certificates(self) -> Path:
        """The demo's own authority and what it signed."""
        return self.root / "certificates"

    @property
    def fleet(self) -> Path:
        """The doors' file for `estate simulate doors`."""
        return self.root / "doors.json"

    @property
    def summary(self) -> Path:
        """What the story saw, for machines."""
        return self.root / "summary.json"

    def make(self) -> None:
        """Make the folders; the one with secrets is closed to others."""
        for folder in (self.root, self.logs, self.certificates):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)

    def secret(self, name: str, make: str | None = None) -> str:
        """The secret of that name: kept from an earlier run, or made now.

        Args:
            name: its file below `secrets`.
            make: what to keep if there is none yet; by default 32 random letters.
        """
        path = self.secrets / name
        if path.exists() and (kept := path.read_text("utf-8").strip()):
            return kept
        value = make if make is not None else random_word(32)
        write_private(path, value + "\n")
        return value


def random_word(letters: int) -> str:
    """Random letters and digits that can be typed without thinking."""
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(letters))


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    unfinished.replace(path)


def write_private_json(path: Path, content: object) -> None:
    """`write_private` for a JSON document."""
    write_private(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
