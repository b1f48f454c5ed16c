"""Why a door answered as it did, in the guard's words.

The codes are the gateway's; `tests/contracts/causes.json` is its table for other programs, and a test holds
this one to it. A gateway that is newer than this page may send a code that is not here yet.
"""

from __future__ import annotations

from types import MappingProxyType

_WORDS = MappingProxyType(
    {
        "unknown_device": (
            "名单中没有此设备，请在管理端登记",
            "The device is not on the roster; register it in the console.",
        ),
        "released": (
            "消防或紧急释放中，所有门常开，直到有人取消",
            "Released for fire or emergency: open until somebody cancels it.",
        ),
        "device_out_of_use": ("设备已停用", "The device is out of use."),
        "answer_unknown": (
            "补传的记录，当时如何答复已无从得知；不开门",
            "Sent again; what was answered at the time is unknown. Never opens.",
        ),
        "clock_skew": (
            "设备时钟跳变，正在重新校准",
            "The device's clock has jumped; it is being learned anew.",
        ),
        "late": ("事件到达过迟，只记录不开门", "The event came too late: recorded, not opened."),
        "door_in_lockdown": ("门卫已封闭此门（出门不受限）", "Locked down by a guard; the way out is free."),
        "door_face_only": (
            "此门只设了人脸一种方式，不符合规定，人脸已停用；请增加刷卡",
            "The door takes only faces, which is not allowed; add cards. Faces are off here.",
        ),
        "credential_not_taken": ("此门未启用该开门方式", "The door does not take this kind of credential."),
        "too_many_attempts": (
            "密码或二维码错误次数过多，已暂停；请留意有人试码",
            "Too many wrong codes: paused for some minutes. Somebody may be guessing.",
        ),
        "faces_off": ("本小区未启用人脸", "Faces are switched off for this estate."),
        "liveness_failed": (
            "活体检测未通过，可能是照片或面具",
            "Liveness failed: perhaps a picture or a mask.",
        ),
        "liveness_missing": ("设备没有给出活体结果", "The device gave no liveness verdict."),
        "encoder_busy": ("人脸识别排队已满", "The queue for photographs is full."),
        "encoder_unavailable": ("人脸识别程序不可用", "The face encoder is not available."),
        "face_not_usable": ("照片中没有可用的人脸", "No usable face in the photographs."),
        "unknown_person": ("不是名单中的人员", "Nobody on the roster."),
        "face_unsure": (
            "比对分数接近阈值或与两人相近",
            "The score is near the threshold, or near two people.",
        ),
        "card_key_missing": (
            "网关尚未取得本小区的卡号密钥",
            "The gateway has not fetched the estate's card key yet.",
        ),
        "unknown_card": ("名单中没有此卡", "The card is not on the roster."),
        "card_blocked": ("卡已挂失或停用", "The card is blocked."),
        "pin_wrong": ("密码错误", "Wrong PIN."),
        "qr_invalid": ("二维码不是本小区的", "The QR code is none of this estate's."),
        "qr_expired": ("二维码已过期", "The QR code has expired."),
        "code_used": ("同一个二维码重复使用", "The same QR code was shown again."),
        "pass_unknown": ("访客码不存在或已取消", "No such visitor's pass, or it was taken back."),
        "pass_used_up": ("访客码次数已用完", "The visitor's pass is used up."),
        "no_consent": ("该住户未同意使用人脸，请其刷卡", "No consent to faces: card, please."),
        "wrong_door": ("没有此门的通行权限", "No right for this door."),
        "right_not_begun": ("通行权限尚未开始", "The right has not begun yet."),
        "right_ended": ("通行权限已结束", "The right has ended."),
        "outside_hours": ("不在此门的开放时间内", "Outside the door's hours."),
        "passback": (
            "同一人连续进入而没有出门记录（已设为拒绝）",
            "In twice without going out (set to be refused).",
        ),
        "way_out": ("出门，不核对权限", "A way out: nobody is kept in."),
        "opened_by_guard": ("门卫远程开门", "Opened from afar by a guard."),
        "granted_under_duress": (
            "胁迫密码：住户可能被胁迫，请立即核实并报警",
            "Duress PIN: the resident may be under threat. Check at once and call the police.",
        ),
        "granted_passback": (
            "放行；同一人连续进入而没有出门记录，请留意是否有人共用凭证",
            "Let in; in twice without going out: a shared credential?",
        ),
        "granted": ("放行", "Granted."),
    }
)


def cause_words(code: str) -> tuple[str, str]:
    """Chinese and English for a cause; a code that is not known here is shown as it is."""
    return _WORDS.get(code, (f"其他原因（{code}）", f"Another cause ({code})."))


def known_codes() -> frozenset[str]:
    """Every code that has words here."""
    return frozenset(_WORDS)
