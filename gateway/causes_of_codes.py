"""Causes of what is typed or shown as a code: PINs, QR codes, visitors' passes."""

from __future__ import annotations

from gateway.cause import Cause

TOO_MANY_ATTEMPTS = Cause(
    "too_many_attempts",
    "deny",
    "too many wrong codes at this door, or in the estate, in the last minutes",
    "错误次数过多，请几分钟后再试，或请门卫开门",
    "Too many wrong codes. Try again in a few minutes, or ask the guard.",
    "密码或二维码错误次数过多，已暂停；请留意有人试码",
    "Too many wrong codes: paused for some minutes. Somebody may be guessing.",
)
PIN_WRONG = Cause(
    "pin_wrong",
    "deny",
    "no live PIN of this door's group is like the one that was typed",
    "密码不对，请再试",
    "Wrong PIN. Please try again.",
    "密码错误",
    "Wrong PIN.",
)
QR_INVALID = Cause(
    "qr_invalid",
    "deny",
    "the QR code is none of this estate's, or was changed",
    "二维码无效，请打开“我的门码”再试",
    "This QR code is not valid. Open your door code and try again.",
    "二维码不是本小区的",
    "The QR code is none of this estate's.",
)
QR_EXPIRED = Cause(
    "qr_expired",
    "deny",
    "the QR code was made more than a minute ago",
    "二维码已过期，请等它刷新后再试",
    "This QR code has expired. Wait for the next one.",
    "二维码已过期",
    "The QR code has expired.",
)
CODE_USED = Cause(
    "code_used",
    "deny",
    "this very QR code has opened a door already",
    "二维码已用过，请等它刷新后再试",
    "This QR code was used already. Wait for the next one.",
    "同一个二维码重复使用",
    "The same QR code was shown again.",
)
PASS_UNKNOWN = Cause(
    "pass_unknown",
    "deny",
    "no visitor's pass of this estate has this code, or it was taken back",
    "访客码不对或已取消，请联系您要拜访的住户",
    "This visitor's code is wrong or was cancelled. Please call your host.",
    "访客码不存在或已取消",
    "No such visitor's pass, or it was taken back.",
)
PASS_USED_UP = Cause(
    "pass_used_up",
    "deny",
    "the visitor's pass has been used as often as it may",
    "访客码次数已用完，请联系您要拜访的住户",
    "This visitor's code has been used up. Please call your host.",
    "访客码次数已用完",
    "The visitor's pass is used up.",
)
GRANTED_UNDER_DURESS = Cause(
    "granted_under_duress",
    "open",
    "the person's second PIN, which opens and calls for help",
    "请进",
    "Welcome.",
    "胁迫密码：住户可能被胁迫，请立即核实并报警",
    "Duress PIN: the resident may be under threat. Check at once and call the police.",
    told_as="granted",
)
