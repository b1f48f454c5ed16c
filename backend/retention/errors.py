"""The ways in which retention and evidence say no."""

from __future__ import annotations

from backend.errors import ExplainedError
from backend.identity.errors import RefusedError


class EvidenceFormError(ExplainedError):
    """A file that is not one of the kinds we keep, or is too large."""

    code = "evidence_form"

    def __init__(self, bytes_max: int) -> None:
        mb = bytes_max // 1024 // 1024
        super().__init__(
            f"只接受 PDF、JPEG 或 PNG 文件，最大 {mb} MB；请重新扫描后再传。",
            f"Only PDF, JPEG or PNG up to {mb} MB is taken; scan it again and send that.",
        )


class EvidenceErasedError(ExplainedError):
    """A file whose time was over."""

    code = "evidence_erased"

    def __init__(self) -> None:
        super().__init__("该证明文件已到期删除。", "The file's time was over, and it was erased.")


class PurposeNeededError(ExplainedError):
    """Somebody looks at what a person did and does not say what for."""

    code = "purpose_needed"

    def __init__(self) -> None:
        super().__init__("查看前须先选定用途。", "Choose a purpose before looking.")


class BasisFormError(ExplainedError):
    """A basis without a rule, or one that ends before it begins."""

    code = "basis_form"

    def __init__(self) -> None:
        super().__init__(
            "请写明法规条文和文件号，且止日不早于起日。",
            "Name the rule and its paper; a basis never ends before it begins.",
        )


class NoBasisError(RefusedError):
    """Door data for a second purpose, without the household's consent or a recorded basis."""

    code = "no_basis"

    def __init__(self, actor: str, purpose: str, object_id: str, estate_id: str) -> None:
        self.purpose = purpose
        super().__init__(
            f"用途 {purpose} 没有住户单独同意，也没有登记的法定依据，不能查看。",
            f"Neither the household's consent nor a recorded basis allows looking for {purpose}.",
            actor=actor,
            action="look_at_household",
            object_kind="unit",
            object_id=object_id,
            estate_id=estate_id,
        )
