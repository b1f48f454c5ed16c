"""What a simulated panel says, in its firmware's own spelling."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias

Quirk: TypeAlias = Literal[
    "texts",  # numbers as texts, as most firmware sends them
    "misspelt",  # persionName
    "time_t",  # the older form of time
    "no_push_type",  # old firmware
    "no_record_id",
    "reversed_box",
    "no_code",  # acknowledgements without a code
    "small_ack",  # …/ack instead of …/Ack
    "no_list",  # its list cannot be asked for in pages
]
QUIRKS: tuple[Quirk, ...] = Quirk.__args__  # type: ignore[attr-defined]
CHINA = timezone(timedelta(hours=8))
PICTURE = b"\xff\xd8\xff\xe0 a face that nobody has"


@dataclass(frozen=True, slots=True)
class Firmware:
    """How a panel writes.

    Attributes:
        device_id: its number.
        quirks: where it differs from the manual.
    """

    device_id: str
    quirks: frozenset[Quirk] = frozenset()

    def moment(self, at_s: float) -> str:
        """A time: local, without zone."""
        form = "%Y-%m-%dT%H:%M:%S" if "time_t" in self.quirks else "%Y-%m-%d %H:%M:%S"
        return datetime.fromtimestamp(at_s, UTC).astimezone(CHINA).strftime(form)

    def record(self, number: int, at_s: float, customer: str, status: int) -> dict[str, Any]:
        """Somebody was recognised, or refused by the panel itself."""
        info: dict[str, Any] = {
            "customId": customer,
            "personId": str(zlib.crc32(customer.encode()) % 1000),
            "VerifyStatus": status,
            "PersonType": 0,
            "similarity1": 92.5,
            "persionName" if "misspelt" in self.quirks else "personName": customer[:8],
            "facesluiceId": self.device_id,
            "idCard": " ",
            "telnum": "",
            "time": self.moment(at_s),
            "targetPosInScene": self._box(),
            "pic": picture_text(PICTURE),
        }
        if "no_record_id" not in self.quirks:
            info["RecordID"] = number
        return self._typed(info, "VerifyStatus", "PersonType", "similarity1", "RecordID")

    def stranger(self, number: int, at_s: float, picture: bytes) -> dict[str, Any]:
        """Somebody whom the panel does not know."""
        return {
            "facesluiceId": self.device_id,
            "SnapID": str(number),
            "time": self.moment(at_s),
            "targetPosInScene": self._box(),
            "pic": picture_text(picture),
        }

    def reply(
        self, operator: str, message_id: object, ok: bool, code: int, more: dict[str, Any]
    ) -> dict[str, Any]:
        """An acknowledgement."""
        info = {"facesluiceId": self.device_id, "result": "ok" if ok else "fail", "detail": ""} | more
        letter: dict[str, Any] = {"messageId": message_id, "operator": f"{operator}-Ack", "info": info}
        if "no_code" not in self.quirks:
            letter["code"] = str(code) if "texts" in self.quirks else code
        return letter

    def _box(self) -> list[Any]:
        return ["300", "20", "10", "400"] if "reversed_box" in self.quirks else [10, 20, 300, 400]

    def _typed(self, info: dict[str, Any], *names: str) -> dict[str, Any]:
        if "texts" not in self.quirks:
            return info
        return info | {name: str(info[name]) for name in names if name in info}


def picture_text(picture: bytes) -> str:
    """A picture as the panels send it."""
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()
