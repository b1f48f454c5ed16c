"""The ways in which the registry says no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from backend.errors import ExplainedError

NOTICE_FIELDS_ZH = {
    "handler": "处理者",
    "contact": "联系方式",
    "purpose_text": "处理目的",
    "method": "处理方式",
    "retention": "保存期限",
    "effect": "对个人的影响",
    "rights": "行使权利的方式",
}


class UnknownThingError(ExplainedError):
    """An id that the registry does not have."""

    code = "unknown_thing"

    def __init__(self, kind: str, thing_id: object) -> None:
        self.kind, self.thing_id = kind, str(thing_id)
        super().__init__(f"没有这条记录：{kind} {thing_id}。", f"There is no {kind} {thing_id}.")


class CardTakenError(ExplainedError):
    """A card that somebody in the estate holds already."""

    code = "card_taken"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"此卡在小区 {estate_id} 已发给他人，请先收回旧卡。",
            f"Somebody in estate {estate_id} holds this card already; take it back first.",
        )


class NoRightError(ExplainedError):
    """A code was asked for doors that the person may not open."""

    code = "no_right"

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        super().__init__(
            "您没有这个门现在的通行权限，不能为它设密码或访客码。请联系物业。",
            "You have no right for these doors now, so there is no code for them. Please contact the office.",
        )


class TooManyPassesError(ExplainedError):
    """A host has as many live passes as one may have."""

    code = "too_many_passes"

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(
            f"您已有 {most} 个有效的访客码，请先取消一个。",
            f"You have {most} visitors' codes already; cancel one first.",
        )


class ReasonMissingError(ExplainedError):
    """An order of a door needs its reason."""

    code = "reason_missing"

    def __init__(self, least: int, most: int) -> None:
        super().__init__(
            f"请写明原因（{least} 到 {most} 个字）。", f"Please give a reason ({least} to {most} letters)."
        )


class UnitLetError(ExplainedError):
    """A unit that another household has in that time."""

    code = "unit_let"

    def __init__(self, unit_id: UUID) -> None:
        self.unit_id = unit_id
        super().__init__(
            "该房源在此期间已有租约，请先办理交房。",
            "The unit is let in that time; end the other tenancy first.",
        )


class NoNoticeError(ExplainedError):
    """Consent cannot be given to a notice that was never published."""

    code = "no_notice"

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        super().__init__(
            f"用途 {purpose} 还没有发布告知书，不能登记同意。请先在配置中填写 [notice] 并重新加载小区。",
            f"No notice was published for {purpose}, so nobody can consent. Fill in [notice] and load again.",
        )


class GuardianNeededError(ExplainedError):
    """Below 14 a guardian consents."""

    code = "guardian_needed"

    def __init__(self, person_id: UUID | str) -> None:
        self.person_id = str(person_id)
        super().__init__(
            "未满十四周岁，须由一位成年监护人同意，请补充监护人。",
            "Below 14 an adult guardian has to consent; name the guardian.",
        )


class FaceNotAllowedError(ExplainedError):
    """A face that may not be enrolled now."""

    code = "face_not_allowed"

    def __init__(self, estate_id: str, why: Literal["faces_off", "no_consent"]) -> None:
        self.estate_id, self.why = estate_id, why
        if why == "faces_off":
            super().__init__(
                f"小区 {estate_id} 未启用人脸，不能登记；请先完成影响评估并启用。",
                f"Estate {estate_id} has not switched faces on; it needs its impact assessment first.",
            )
        else:
            super().__init__(
                "此人没有有效的人脸同意，不能登记；请先登记本人（未满十四周岁由监护人）的同意。",
                "There is no consent in date to this person's face. Record the consent first, a guardian's "
                "for a child below 14.",
            )


class RelationNeededError(ExplainedError):
    """A guardian's consent says how the guardian is related."""

    code = "relation_needed"

    def __init__(self, person_id: UUID | str) -> None:
        self.person_id = str(person_id)
        super().__init__(
            "监护人代为同意，须写明与本人的关系（如母亲）。",
            "A guardian's consent says how the guardian is related, such as mother; fill that in.",
        )


class NoticeIncompleteError(ExplainedError):
    """A notice that does not tell people everything they have to be told."""

    code = "notice_incomplete"

    def __init__(self, purpose: str, missing: Sequence[str]) -> None:
        self.purpose, self.missing = purpose, tuple(missing)
        words = "、".join(f"{NOTICE_FIELDS_ZH.get(name, name)}（{name}）" for name in missing)
        super().__init__(
            f"告知书 {purpose} 缺少必填内容：{words}，没有发布。",
            f"The notice for {purpose} was not published; missing: {', '.join(missing)}.",
        )


class OlderNoticeError(ExplainedError):
    """A published notice never changes; another text needs a higher version."""

    code = "older_notice"

    def __init__(self, purpose: str, version: int) -> None:
        self.purpose, self.version = purpose, version
        super().__init__(
            f"告知书 {purpose} 第 {version} 版已发布，内容不能改；请把版本号加大。",
            f"Notice {purpose} version {version} is published and never changes; raise the version.",
        )


class AssessmentNeededError(ExplainedError):
    """Faces in an estate without an impact assessment in date."""

    code = "assessment_needed"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"小区 {estate_id} 没有有效期内的个人信息保护影响评估，不能启用人脸；请先评估并填写日期。",
            f"Estate {estate_id} has no impact assessment in date, so faces stay off; assess first and give "
            "the date.",
        )


class AlreadyHandedOverError(ExplainedError):
    """A unit is handed over once."""

    code = "already_handed_over"

    def __init__(self, tenancy_id: UUID) -> None:
        self.tenancy_id = tenancy_id
        super().__init__(
            "该租约已办理交房，无需重复办理。",
            "This lease was handed over already; there is nothing left to do.",
        )


class NothingToCorrectError(ExplainedError):
    """A correction that changes nothing."""

    code = "nothing_to_correct"

    def __init__(self) -> None:
        super().__init__(
            "请填写要更正的姓名或出生日期。", "Give the name or the birthday that has to be put right."
        )


class DoorElsewhereError(ExplainedError):
    """A device id that another estate has: device ids are unique in the whole installation."""

    code = "door_elsewhere"

    def __init__(self, device_id: str, estate_id: str) -> None:
        self.device_id, self.estate_id = device_id, estate_id
        super().__init__(
            f"设备编号 {device_id} 已属于别的小区，小区 {estate_id} 请换一个编号。",
            f"Device {device_id} belongs to another estate; give it another id in {estate_id}.",
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row of an import file; `row` says where it stands."""

    row: str
    zh: str
    en: str


class ImportRefusedError(ExplainedError):
    """An import file with faulty rows; nothing of it was imported."""

    code = "import_refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {one.row}：{one.zh}  |  {one.en}" for one in problems)
        super().__init__(
            f"导入文件有 {len(self.problems)} 处问题，什么都没有导入。",
            f"The file has {len(self.problems)} problems; nothing was imported:\n{lines}",
        )
