"""The invented people of the demo, as the file that `estate backend import` reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Resident:
    """One invented tenant.

    Attributes:
        ref: our own name for the person in the import file.
        photos: whose real photographs stand for this face (see simulators/photos.py); None: said no to faces.
        login: the name to log in with, if this person pays on the phone.
    """

    ref: str
    name: str
    estate: str
    unit: str
    card: str
    rent_fen: int
    born_on: date
    photos: str | None = None
    login: str | None = None


CHEN = Resident("chen", "陈志明", "pengjiang-1", "0301", "C-1001", 38_640, date(1961, 4, 2), "a", "chen")
HE = Resident("he", "何美玲", "pengjiang-1", "0302", "C-1002", 41_200, date(1988, 9, 13), None, "he")
HUANG = Resident("huang", "黄伟强", "xinhui-1", "0201", "C-4001", 35_750, date(1955, 12, 20), "b")
LI = Resident("li", "李秀英", "jianghai-1", "0102", "C-3001", 29_900, date(1949, 6, 8), "c", "li")

CARD_ONLY = (
    Resident("liang", "梁家辉", "pengjiang-2", "0101", "C-2001", 36_000, date(1979, 1, 17)),
    Resident("xie", "谢小燕", "xinhui-2", "0402", "C-5001", 33_300, date(1990, 7, 25)),
    Resident("lin", "林国栋", "taishan-1", "0203", "C-6001", 28_450, date(1968, 3, 3)),
    Resident("zhou", "周玉珍", "kaiping-1", "0304", "C-7001", 27_900, date(1972, 11, 30)),
    Resident("wu", "吴建国", "heshan-1", "0501", "C-8001", 26_780, date(1958, 5, 9)),
    Resident("zheng", "郑淑芬", "enping-1", "0601", "C-9001", 25_600, date(1964, 8, 21)),
    Resident("deng", "邓志强", "jiangmen-1", "0404", "C-1101", 43_100, date(1983, 2, 14)),
    Resident("ma", "马丽华", "jiangmen-2", "0103", "C-1201", 42_050, date(1976, 10, 1)),
)
RESIDENTS = (CHEN, HE, HUANG, LI, *CARD_ONLY)


def import_file(moved_in_on: date) -> dict[str, Any]:
    """The households of the demo in the form of `estate backend import`."""
    return {"households": [_household(resident, moved_in_on) for resident in RESIDENTS]}


def _household(resident: Resident, moved_in_on: date) -> dict[str, Any]:
    return {
        "ref": f"household-{resident.ref}",
        "estate": resident.estate,
        "building": "a",
        "unit": resident.unit,
        "monthly_rent_fen": resident.rent_fen,
        "from": moved_in_on.isoformat(),
        "members": [
            {
                "ref": resident.ref,
                "name": resident.name,
                "kind": "tenant",
                "born_on": resident.born_on.isoformat(),
                "face_consent": {
                    "given": resident.photos is not None,
                    "channel": "counter",
                    "guardian": None,
                },
                "cards": [resident.card],
                "login": resident.login,
                "door_groups": ["gate", "a"],
            }
        ],
    }
