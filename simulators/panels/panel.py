"""One panel's state and behaviour, without a network: told what to do by letters, heard by what it says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.panels.words import CHINA, PICTURE, Firmware, Quirk

RESEND_S, HEARTBEAT_S = 10.0, 30.0
Say = Callable[[str, dict[str, Any]], None]  # leaf of the topic, or a shared one; what is said
ALLOWED, REFUSED = 1, 2


@dataclass(slots=True)
class Enrolled:
    """Somebody on a panel: until when it opens for them."""

    until_s: float
    picture: bytes


@dataclass(slots=True)
class Kept:
    """A record that the panel has not got confirmed."""

    leaf: str
    operator: str
    number: int
    info: dict[str, Any]
    made_s: float  # by the right time
    sent_s: float | None = None


@dataclass(slots=True)
class Panel:
    """A panel.

    Attributes:
        firmware: how it writes.
        say: publishes (leaf, letter); leaves are Rec, Snap, Ack, basic, heartbeat.
        fetch: gets a picture from an address; None when there is none.
        matches: whether it opens by itself for people on its roster.
        resume: whether it keeps each record until it is confirmed.
        clock_off_s: how far its clock is ahead of the right time.
    """

    firmware: Firmware
    say: Say
    fetch: Callable[[str], bytes | None]
    matches: bool = False
    resume: bool = False
    clock_off_s: float = 0.0
    connected: bool = False
    roster: dict[str, Enrolled] = field(default_factory=dict)
    openings: int = 0
    shown: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    kept: deque[Kept] = field(default_factory=deque)
    history: list[Kept] = field(default_factory=list)
    greeted: bool = False
    _numbers: int = 0
    _beat_s: float = 0.0
    _online_s: float = -1e9

    # -- what happens to it -----------------------------------------------------------------------

    def connect(self, now_s: float) -> None:
        """The network is there."""
        self.connected, self.greeted, self._beat_s = True, False, now_s
        self._say_online(now_s)
        for one in self.kept:
            one.sent_s = None

    def disconnect(self) -> None:
        """The network is gone; what is sent to it meanwhile is lost."""
        self.connected = False

    def jump(self, seconds: float) -> None:
        """Somebody, or a dead battery, moves its clock."""
        self.clock_off_s += seconds

    def factory_reset(self) -> None:
        """It forgets everything, and counts its records anew."""
        self.roster.clear()
        self.kept.clear()
        self.history.clear()
        self._numbers, self.resume = 0, False

    def enrol_by_hand(self, now_s: float) -> None:
        """Somebody is put on it at its own page, without a reference of ours."""
        self.roster[""] = Enrolled(now_s + 365 * 86_400, PICTURE)

    def look(self, customer: str, now_s: float, picture: bytes = PICTURE) -> bool:
        """Somebody looks into it; True when it opens by itself."""
        enrolled = self.roster.get(customer)
        if enrolled is None or not self.matches:
            self._keep(
                "Snap",
                "StrSnapPush",
                self.firmware.stranger(self._next(), self._own_s(now_s), picture),
                now_s,
            )
            return False
        opens = enrolled.until_s > self._own_s(now_s)
        self.openings += opens
        status = ALLOWED if opens else REFUSED
        number = self._next()
        self._keep(
            "Rec", "RecPush", self.firmware.record(number, self._own_s(now_s), customer, status), now_s
        )
        return opens

    def tick(self, now_s: float) -> None:
        """Heartbeats, its "online" until it is greeted, and the first record that waits, again and again."""
        if not self.connected:
            return
        if now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = now_s
            self.say("heartbeat", self._life("HeartBeat", now_s))
        if not self.greeted and now_s - self._online_s >= RESEND_S:
            self._say_online(now_s)
        self._send_first(now_s)

    def will(self) -> dict[str, Any]:
        """What the broker says for it when it is gone."""
        return {"operator": "Offline", "info": {"facesluiceId": self.firmware.device_id}}

    # -- what it is told --------------------------------------------------------------------------

    def receive(self, letter: dict[str, Any], now_s: float) -> None:
        """A command or an acknowledgement."""
        operator, info = letter["operator"], letter["info"]
        if operator == "Online-Ack":
            self.greeted = True
            return
        self.commands.append(operator)
        does = _COMMANDS.get(operator)
        if does is None:
            self._reply(letter, False, 404)
        else:
            does(self, letter, info, now_s)

    def _push_ack(self, letter: dict[str, Any], info: dict[str, Any], now_s: float) -> None:
        leaf = "Rec" if info["PushAckType"] == 2 else "Snap"
        if self.kept and self.kept[0].leaf == leaf and self.kept[0].number == info["SnapOrRecordID"]:
            self.kept.popleft()
        self._reply(letter, True, 200, {key: str(value) for key, value in info.items()})
        self._send_first(now_s)

    def _unlock(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        self.openings += info.get("openDoor") == 1
        self.shown.append(info.get("showInfo", ""))
        self._reply(letter, True, 200)

    def _set_time(self, letter: dict[str, Any], info: dict[str, Any], now_s: float) -> None:
        self.clock_off_s = _seconds(info["SysTime"]) - now_s
        self._reply(letter, True, 200)

    def _configure(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        self.resume = info.get("ResumefromBreakpoint") == 1
        self._reply(letter, True, 200)

    def _edit(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        code = self._upsert(info)
        self._reply(letter, code == 200, code, {"customId": info.get("customId", "")})

    def _edit_many(self, letter: dict[str, Any], info: Sequence[dict[str, Any]], _now_s: float) -> None:
        codes = [(one.get("customId", ""), self._upsert(one)) for one in info]
        done = [{"customId": customer} for customer, code in codes if code == 200]
        failed = [{"customId": customer, "errcode": code} for customer, code in codes if code != 200]
        more = {"AddSucNum": len(done), "AddErrNum": len(failed), "AddSucInfo": done, "AddErrInfo": failed}
        self._reply(letter, not failed, 200, more)

    def _delete(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        found = self.roster.pop(info["customId"], None)
        self._reply(letter, found is not None, 200 if found else 463, {"customId": info["customId"]})

    def _delete_many(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        asked = [(customer, self.roster.pop(customer, None)) for customer in info["customId"]]
        done = [{"customId": customer} for customer, found in asked if found]
        failed = [{"customId": customer} for customer, found in asked if not found]
        self._reply(letter, not failed, 200, {"DelSucInfo": done, "DelErrInfo": failed})

    def _list(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        if "no_list" in self.firmware.quirks:
            self._reply(letter, False, 404)
            return
        page = list(self.roster)[info["BeginNO"] : info["BeginNO"] + info["RequestCount"]]
        rows = [{"customId": customer, "name": customer[:8]} for customer in page]
        self._reply(letter, True, 200, {"PersonNum": len(rows), "personList": rows})

    def _count(self, letter: dict[str, Any], _info: dict[str, Any], _now_s: float) -> None:
        self._reply(
            letter, True, 200, {"totalPersonNum": len(self.roster), "customId": ",".join(self.roster)}
        )

    def _replay(self, letter: dict[str, Any], info: dict[str, Any], _now_s: float) -> None:
        self._reply({**letter, "operator": "ManualPushSnaps"}, True, 200)  # as the firmware does
        from_s, until_s = _seconds(info["TimeS"]), _seconds(info["TimeE"])
        for one in self.history:
            if from_s <= _seconds(one.info["time"]) <= until_s:
                again = one.info | {"PushType": 2} | ({"Sendintime": 0} if one.leaf == "Rec" else {})
                self.say(one.leaf, {"operator": one.operator, "info": again})

    # -- inside -----------------------------------------------------------------------------------

    def _upsert(self, info: dict[str, Any]) -> int:
        customer = info.get("customId")
        if not customer:
            return 461
        known = self.roster.get(customer)
        picture = self.fetch(info["picURI"]) if info.get("picURI") else known.picture if known else None
        if picture is None:
            return 467
        until_s = _seconds(info["validEnd"]) if info.get("tempValid") == 1 else 4e9
        self.roster[customer] = Enrolled(until_s, picture)
        return 200

    def _keep(self, leaf: str, operator: str, info: dict[str, Any], now_s: float) -> None:
        one = Kept(leaf, operator, self._numbers, info, now_s)
        self.history.append(one)
        self.kept.append(one)
        self._send_first(now_s)

    def _send_first(self, now_s: float) -> None:
        """One at a time: a record that is not confirmed blocks all later ones."""
        while self.connected and self.kept:
            one = self.kept[0]
            if one.sent_s is not None and now_s - one.sent_s < RESEND_S:
                return
            one.sent_s = now_s
            info = dict(one.info)
            if "no_push_type" not in self.firmware.quirks:
                info["PushType"] = 0
            if one.leaf == "Rec":
                info["Sendintime"] = 1 if now_s - one.made_s <= RESEND_S else 0
            self.say(one.leaf, {"operator": one.operator, "info": info})
            if self.resume:
                return
            self.kept.popleft()

    def _reply(self, letter: dict[str, Any], ok: bool, code: int, more: dict[str, Any] | None = None) -> None:
        said = self.firmware.reply(letter["operator"], letter.get("messageId"), ok, code, more or {})
        self.say("ack" if "small_ack" in self.firmware.quirks else "Ack", said)

    def _say_online(self, now_s: float) -> None:
        self._online_s = now_s
        self.say("basic", self._life("Online", now_s))

    def _life(self, operator: str, now_s: float) -> dict[str, Any]:
        time = self.firmware.moment(self._own_s(now_s))
        return {"operator": operator, "info": {"facesluiceId": self.firmware.device_id, "time": time}}

    def _own_s(self, now_s: float) -> float:
        return now_s + self.clock_off_s

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


_COMMANDS: dict[str, Callable[[Panel, dict[str, Any], Any, float], None]] = {
    "PushAck": Panel._push_ack,
    "Unlock": Panel._unlock,
    "SetSysTime": Panel._set_time,
    "UpMQTTconfig": Panel._configure,
    "EditPerson": Panel._edit,
    "EditPersonsNew": Panel._edit_many,
    "DelPerson": Panel._delete,
    "DeletePersons": Panel._delete_many,
    "SearchPersonList": Panel._list,
    "QueryPerson": Panel._count,
    "ManualPushRecords": Panel._replay,
}


def make_panel(
    device_id: str, say: Say, fetch: Callable[[str], bytes | None], quirks: Sequence[Quirk] = ()
) -> Panel:
    """A panel as it comes out of its box: no roster, and nothing kept until it is confirmed."""
    return Panel(Firmware(device_id, frozenset(quirks)), say, fetch)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp()
