"""Who may log in to a broker, and which topics each may read and write."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Mosquitto's own number. It guards passwords that are random and long; more rounds would let devices
# that all come back at once after a power cut hold up the broker, which checks them one by one.
ROUNDS = 101
SALT_BYTES = 12
HASH_BYTES = 64
_NAME = re.compile(r"[^\s:#+/\x00-\x1f\x7f]+")
_TOPIC = re.compile(r"[^\s\x00-\x1f\x7f]+")


class BrokerUserError(ValueError):
    """A name, password or topic that a broker's files cannot hold."""

    def __init__(self, name: str, reason_zh: str, reason_en: str) -> None:
        self.name = name
        super().__init__(f"代理用户 {name!r} 无效：{reason_zh}  |  Broker user {name!r}: {reason_en}")


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """One client's identity at the broker.

    Args:
        name: its MQTT user name, for a device the device's id.
        password: random and long; a broker's files hold only its hash.
        reads: topic filters that it may receive from; nothing else reaches it.
        writes: topic filters that it may publish to.
    Raises:
        BrokerUserError: one of them cannot stand in a broker's files.
    """

    name: str
    password: str = field(repr=False)
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BrokerUserError(
                self.name, "名称为空或含有空格、冒号、#、+、/", "the name is empty or holds a space, ':#+/'"
            )
        if not self.password:
            raise BrokerUserError(self.name, "没有密码", "it has no password")
        for topic in (*self.reads, *self.writes):
            if not _TOPIC.fullmatch(topic) or not is_filter(topic):
                raise BrokerUserError(
                    self.name, f"主题过滤器 {topic!r} 无效", f"{topic!r} is not a topic filter"
                )


def is_filter(text: str) -> bool:
    """Whether `text` is a topic filter: `+` and `#` stand alone in their level, `#` only in the last."""
    levels = text.split("/")
    return (
        bool(text)
        and all(level in {"+", "#"} or not {"+", "#"} & set(level) for level in levels)
        and "#" not in levels[:-1]
    )


def covers(allowed: str, asked: str) -> bool:
    """Whether every topic that the filter (or topic) `asked` matches is also one of the filter `allowed`."""
    if asked.startswith("$") != allowed.startswith("$"):
        return False  # a wildcard in the first place never matches the broker's own $ topics
    allowed_levels, asked_levels = allowed.split("/"), asked.split("/")
    for index, level in enumerate(allowed_levels):
        if level == "#":
            return True
        if index >= len(asked_levels):
            return False
        if asked_levels[index] == "#" or (level not in {"+", asked_levels[index]}):
            return False
    # "a/#" also matches "a" itself, so `asked` may be one level short of the "#" handled above.
    return len(asked_levels) == len(allowed_levels)


def hash_password(password: str, salt: bytes) -> str:
    """`password` as Mosquitto's password file keeps it: PBKDF2 with SHA-512, kind 7."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, HASH_BYTES)
    return f"$7${ROUNDS}${_text(salt)}${_text(digest)}"


def is_password(password: str, kept: str) -> bool:
    """Whether `password` is the one that `hash_password` made `kept` from; takes the same time if not."""
    salt = base64.b64decode(kept.split("$")[3])
    return hmac.compare_digest(hash_password(password, salt), kept)


def acl_file(users: Iterable[BrokerUser]) -> str:
    """Mosquitto's `acl_file`: what is not named for a user is refused."""
    lines = []
    for user in users:
        lines.append(f"user {user.name}")
        lines += [f"topic read {topic}" for topic in user.reads]
        lines += [f"topic write {topic}" for topic in user.writes]
        lines.append("")
    return "\n".join(lines)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
