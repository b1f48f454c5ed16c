"""The ways in which two people are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from backend.errors import ExplainedError
from backend.identity.errors import RefusedError
from backend.identity.principal import ROLE_NAMES_ZH


class ProposalUnknownError(ExplainedError):
    """No proposal of that number."""

    code = "proposal_unknown"

    def __init__(self, proposal_id: UUID) -> None:
        self.proposal_id = proposal_id
        super().__init__(f"没有这份申请：{proposal_id}。", f"There is no proposal {proposal_id}.")


class KindUnknownError(ExplainedError):
    """A kind that nobody may propose."""

    code = "approval_kind_unknown"

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"没有设置“{kind}”的审批权限，请管理员用 estate backend approval-rights 设置。",
            f"Nobody has the right to propose {kind}: set it with `estate backend approval-rights`.",
        )


class SecondPersonNeededError(RefusedError):
    """Whoever proposed it may not decide on it."""

    code = "second_person_needed"

    def __init__(self, actor: str, proposal_id: UUID, estate_id: str | None) -> None:
        super().__init__(
            "自己提出的申请不能自己审批，请由另一位有权限的同事审批。",
            "You proposed this yourself: another person with the right has to decide on it.",
            actor=actor,
            action="approvals.decide",
            object_kind="proposal",
            object_id=str(proposal_id),
            estate_id=estate_id,
        )


class NoRightError(RefusedError):
    """Somebody without the right for that kind in that estate on that day."""

    code = "no_right_to_approve"

    def __init__(
        self, actor: str, action: str, kind: str, roles: Sequence[str], estate_id: str | None
    ) -> None:
        self.kind, self.roles = kind, tuple(roles)
        wanted_zh = "或".join(ROLE_NAMES_ZH.get(role, role) for role in roles)
        where_zh, where = (f"在小区 {estate_id} ", f" in {estate_id}") if estate_id else ("对全市", "")
        super().__init__(
            f"您{where_zh}没有办理此类申请的权限（需要“{wanted_zh}”角色）。",
            f"You have no right to this{where} (role needed: {' or '.join(roles)}).",
            actor=actor,
            action=action,
            object_kind="approval_kind",
            object_id=kind,
            estate_id=estate_id,
        )


class ProposalClosedError(ExplainedError):
    """It is decided or withdrawn already."""

    code = "proposal_closed"

    def __init__(self, proposal_id: UUID, state_zh: str, state_en: str) -> None:
        self.proposal_id = proposal_id
        super().__init__(
            f"该申请{state_zh}，不能再改动。", f"This proposal is {state_en} and stays as it is."
        )


class ProposalChangedError(ExplainedError):
    """It was changed after it was read."""

    code = "proposal_changed"

    def __init__(self, proposal_id: UUID) -> None:
        self.proposal_id = proposal_id
        super().__init__(
            "申请内容在您打开之后有改动，请重新阅读后再审批。",
            "The proposal was changed after you opened it: read it again, then decide.",
        )


class ReasonMissingError(ExplainedError):
    """Something that needs a reason came without one."""

    code = "reason_missing"

    def __init__(self) -> None:
        super().__init__("请写明理由。", "Give a reason.")


class NotProposerError(RefusedError):
    """Only whoever proposed it changes or withdraws it."""

    code = "not_the_proposer"

    def __init__(self, actor: str, proposal_id: UUID, estate_id: str | None) -> None:
        super().__init__(
            "只有申请人本人可以修改或撤回申请。",
            "Only whoever proposed it may change or withdraw it.",
            actor=actor,
            action="approvals.change",
            object_kind="proposal",
            object_id=str(proposal_id),
            estate_id=estate_id,
        )


class ApprovalMissingError(ExplainedError):
    """An act that two people have not agreed on."""

    code = "approval_missing"

    def __init__(self, proposal_id: UUID, kind: str) -> None:
        self.proposal_id, self.kind = proposal_id, kind
        super().__init__(
            "此事须经另一人审批同意后才能办理。",
            f"This needs the approval of a second person first ({kind}, proposal {proposal_id}).",
        )


class ApprovalUsedError(ExplainedError):
    """An approval that was carried out already."""

    code = "approval_used"

    def __init__(self, proposal_id: UUID) -> None:
        self.proposal_id = proposal_id
        super().__init__(
            "该审批已经办理过，不能重复使用。", "This approval was carried out already; it counts once."
        )
