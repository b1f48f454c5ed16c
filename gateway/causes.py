"""Every cause of a door's answer: its outcome, its rule, and its words for tenant and guard.

The order of this table is the order of precedence: where several hold, the first one decides. The words
never say who was recognised. `tests/contracts/causes.json` is this table for other programs.
"""

from __future__ import annotations

from gateway.cause import Cause
from gateway.causes_of_codes import (
    CODE_USED,
    GRANTED_UNDER_DURESS,
    PASS_UNKNOWN,
    PASS_USED_UP,
    PIN_WRONG,
    QR_EXPIRED,
    QR_INVALID,
    TOO_MANY_ATTEMPTS,
)

__all__ = (
    "CODE_USED",
    "GRANTED_UNDER_DURESS",
    "PASS_UNKNOWN",
    "PASS_USED_UP",
    "PIN_WRONG",
    "QR_EXPIRED",
    "QR_INVALID",
    "TOO_MANY_ATTEMPTS",
    "Cause",
)

_USE_CARD_ZH, _USE_CARD_EN = "请刷卡", "Please use your card."

UNKNOWN_DEVICE = Cause(
    "unknown_device",
    "deny",
    "the device is not a door of this estate's roster",
    "此门尚未启用，请联系物业",
    "This door is not in service yet. Please contact the office.",
    "名单中没有此设备，请在管理端登记",
    "The device is not on the roster; register it in the console.",
)
DEVICE_OUT_OF_USE = Cause(
    "device_out_of_use",
    "deny",
    "the door is on the roster as inactive",
    "此门已停用，请走其他门",
    "This door is out of use. Please take another one.",
    "设备已停用",
    "The device is out of use.",
)
ANSWER_UNKNOWN = Cause(
    "answer_unknown",
    "none",
    "the event is sent again and the journal does not know it: what was answered then is unknown",
    "请重新刷脸或刷卡",
    "Please try again.",
    "补传的记录，当时如何答复已无从得知；不开门",
    "Sent again; what was answered at the time is unknown. Never opens.",
)
CLOCK_SKEW = Cause(
    "clock_skew",
    "deny",
    "the device's time has jumped against its last signs of life, and is about to be learned anew",
    "设备正在校时，请半分钟后再试，或请门卫开门",
    "The door is setting its clock. Please try again in half a minute.",
    "设备时钟跳变，正在重新校准",
    "The device's clock has jumped; it is being learned anew.",
)
LATE = Cause(
    "late",
    "deny",
    "the event is older than the limit, after the offset of the device's clock",
    "网络延迟，请再试一次",
    "The network was slow. Please try again.",
    "事件到达过迟，只记录不开门",
    "The event came too late: recorded, not opened.",
)
DOOR_FACE_ONLY = Cause(
    "door_face_only",
    "deny",
    "the door is configured to take faces and nothing else, which is refused",
    "此门设置有误，请联系物业",
    "This door is set up wrongly. Please contact the office.",
    "此门只设了人脸一种方式，不符合规定，人脸已停用；请增加刷卡",
    "The door takes only faces, which is not allowed; add cards. Faces are off here.",
)
CREDENTIAL_NOT_TAKEN = Cause(
    "credential_not_taken",
    "deny",
    "the door does not take this kind of credential",
    "此门不支持这种开门方式",
    "This door does not take that.",
    "此门未启用该开门方式",
    "The door does not take this kind of credential.",
)
FACES_OFF = Cause(
    "faces_off",
    "ask",
    "faces are switched off for the estate",
    "本小区未启用人脸，" + _USE_CARD_ZH,
    "Faces are not in use here. " + _USE_CARD_EN,
    "本小区未启用人脸",
    "Faces are switched off for this estate.",
)
LIVENESS_FAILED = Cause(
    "liveness_failed",
    "ask",
    "the device took the face for a picture or a mask",
    "未能确认是本人，" + _USE_CARD_ZH,
    "We could not be sure it is you. " + _USE_CARD_EN,
    "活体检测未通过，可能是照片或面具",
    "Liveness failed: perhaps a picture or a mask.",
)
LIVENESS_MISSING = Cause(
    "liveness_missing",
    "ask",
    "the device gave no liveness verdict, and no dated waiver of the estate is in force",
    "未能确认是本人，" + _USE_CARD_ZH,
    "We could not be sure it is you. " + _USE_CARD_EN,
    "设备没有给出活体结果",
    "The device gave no liveness verdict.",
)
ENCODER_BUSY = Cause(
    "encoder_busy",
    "ask",
    "the queue of photographs to be encoded is full",
    "系统繁忙，" + _USE_CARD_ZH,
    "The system is busy. " + _USE_CARD_EN,
    "人脸识别排队已满",
    "The queue for photographs is full.",
)
ENCODER_UNAVAILABLE = Cause(
    "encoder_unavailable",
    "ask",
    "photographs cannot be encoded now: not installed, crashed, or not ready in time",
    "人脸识别暂不可用，" + _USE_CARD_ZH,
    "Face recognition is not available now. " + _USE_CARD_EN,
    "人脸识别程序不可用",
    "The face encoder is not available.",
)
FACE_NOT_USABLE = Cause(
    "face_not_usable",
    "ask",
    "no usable face in the photographs",
    "没有看清，请正对镜头再试，或刷卡",
    "We could not see you well. Look straight at the camera, or use your card.",
    "照片中没有可用的人脸",
    "No usable face in the photographs.",
)
UNKNOWN_PERSON = Cause(
    "unknown_person",
    "deny",
    "the face is like nobody's on the estate's roster",
    "未识别，请刷卡或联系物业",
    "Not recognised. Use your card, or contact the office.",
    "不是名单中的人员",
    "Nobody on the roster.",
)
FACE_UNSURE = Cause(
    "face_unsure",
    "ask",
    "the face is near the threshold, or as like a second person's",
    "没有把握认准，" + _USE_CARD_ZH,
    "We are not sure. " + _USE_CARD_EN,
    "比对分数接近阈值或与两人相近",
    "The score is near the threshold, or near two people.",
)
CARD_KEY_MISSING = Cause(
    "card_key_missing",
    "deny",
    "the estate's key for card references has not been fetched yet",
    "刷卡暂不可用，请联系门卫",
    "Cards are not available yet. Please ask the guard.",
    "网关尚未取得本小区的卡号密钥",
    "The gateway has not fetched the estate's card key yet.",
)
UNKNOWN_CARD = Cause(
    "unknown_card",
    "deny",
    "the card is not on the estate's roster",
    "此卡未登记，请联系物业",
    "This card is not registered. Please contact the office.",
    "名单中没有此卡",
    "The card is not on the roster.",
)
CARD_BLOCKED = Cause(
    "card_blocked",
    "deny",
    "the card is on the roster as blocked",
    "此卡已挂失或停用，请联系物业",
    "This card is blocked. Please contact the office.",
    "卡已挂失或停用",
    "The card is blocked.",
)
NO_CONSENT = Cause(
    "no_consent",
    "deny",
    "the person has not consented to faces, or has withdrawn",
    _USE_CARD_ZH,
    _USE_CARD_EN,
    "该住户未同意使用人脸，请其刷卡",
    "No consent to faces: card, please.",
)
WRONG_DOOR = Cause(
    "wrong_door",
    "deny",
    "the person has no right for this door's group",
    "您没有此门的权限，请联系物业",
    "You have no right for this door. Please contact the office.",
    "没有此门的通行权限",
    "No right for this door.",
)
RIGHT_NOT_BEGUN = Cause(
    "right_not_begun",
    "deny",
    "the person's right for this door begins later",
    "您的通行权限尚未开始，请联系物业",
    "Your right has not begun yet. Please contact the office.",
    "通行权限尚未开始",
    "The right has not begun yet.",
)
RIGHT_ENDED = Cause(
    "right_ended",
    "deny",
    "the person's right for this door has ended",
    "您的通行权限已结束，请联系物业",
    "Your right has ended. Please contact the office.",
    "通行权限已结束",
    "The right has ended.",
)
GRANTED = Cause(
    "granted",
    "open",
    "a live event of a person with a right for this door now",
    "请进",
    "Welcome.",
    "放行",
    "Granted.",
)

RELEASED = Cause(
    "released",
    "open",
    "fire, or somebody has released the doors, until it is cancelled; beats everything else",
    "门已释放，请通行",
    "The doors are released. Please pass.",
    "消防或紧急释放中，所有门常开，直到有人取消",
    "Released for fire or emergency: open until somebody cancels it.",
)
DOOR_IN_LOCKDOWN = Cause(
    "door_in_lockdown",
    "deny",
    "a guard has locked the way in, with a reason; the way out is never locked",
    "此门临时封闭，请联系门卫",
    "This door is locked for now. Please ask the guard.",
    "门卫已封闭此门（出门不受限）",
    "Locked down by a guard; the way out is free.",
)
OUTSIDE_HOURS = Cause(
    "outside_hours",
    "deny",
    "the door is open to residents at other hours",
    "现在不是此门的开放时间",
    "This door is not open at this hour.",
    "不在此门的开放时间内",
    "Outside the door's hours.",
)
PASSBACK = Cause(
    "passback",
    "deny",
    "the person has come in already and not gone out; only where the estate has chosen to refuse that",
    "您已进入，请联系门卫",
    "You are in already. Please ask the guard.",
    "同一人连续进入而没有出门记录（已设为拒绝）",
    "In twice without going out (set to be refused).",
)
WAY_OUT = Cause(
    "way_out",
    "open",
    "whoever stands at a way out is let out",
    "请慢走",
    "Goodbye.",
    "出门，不核对权限",
    "A way out: nobody is kept in.",
)
OPENED_BY_GUARD = Cause(
    "opened_by_guard",
    "open",
    "a guard's command, with author and reason, within seconds of it",
    "门卫已为您开门",
    "The guard has opened the door for you.",
    "门卫远程开门",
    "Opened from afar by a guard.",
)
GRANTED_PASSBACK = Cause(
    "granted_passback",
    "open",
    "a person with a right who has come in already and not gone out: let in, recorded and told to the guard",
    "请进",
    "Welcome.",
    "放行；同一人连续进入而没有出门记录，请留意是否有人共用凭证",
    "Let in; in twice without going out: a shared credential?",
)

CAUSES: tuple[Cause, ...] = (
    UNKNOWN_DEVICE,
    RELEASED,
    DEVICE_OUT_OF_USE,
    ANSWER_UNKNOWN,
    CLOCK_SKEW,
    LATE,
    DOOR_IN_LOCKDOWN,
    DOOR_FACE_ONLY,
    CREDENTIAL_NOT_TAKEN,
    TOO_MANY_ATTEMPTS,
    FACES_OFF,
    LIVENESS_FAILED,
    LIVENESS_MISSING,
    ENCODER_BUSY,
    ENCODER_UNAVAILABLE,
    FACE_NOT_USABLE,
    UNKNOWN_PERSON,
    FACE_UNSURE,
    CARD_KEY_MISSING,
    UNKNOWN_CARD,
    CARD_BLOCKED,
    PIN_WRONG,
    QR_INVALID,
    QR_EXPIRED,
    CODE_USED,
    PASS_UNKNOWN,
    PASS_USED_UP,
    NO_CONSENT,
    WRONG_DOOR,
    RIGHT_NOT_BEGUN,
    RIGHT_ENDED,
    OUTSIDE_HOURS,
    PASSBACK,
    WAY_OUT,
    OPENED_BY_GUARD,
    GRANTED_UNDER_DURESS,
    GRANTED_PASSBACK,
    GRANTED,
)
CAUSE_BY_CODE = {cause.code: cause for cause in CAUSES}
