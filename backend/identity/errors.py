"""The ways in which identity says no."""

from __future__ import annotations

from collections.abc import Sequence

from backend.errors import ExplainedError
from backend.identity.principal import ROLE_NAMES_ZH


class RefusedError(ExplainedError):
    """A refusal that belongs into the audit log; whoever catches it at the edge writes it there.

    The transaction in which it is raised rolls back, so it cannot be written where it is raised.
    """

    def __init__(
        self,
        zh: str,
        en: str,
        *,
        actor: str,
        action: str,
        object_kind: str,
        object_id: str,
        estate_id: str | None = None,
    ) -> None:
        self.actor, self.action = actor, action
        self.object_kind, self.object_id, self.estate_id = object_kind, object_id, estate_id
        super().__init__(zh, en)


class NotAllowedError(RefusedError):
    """A principal without the needed role, there or anywhere."""

    code = "not_allowed"

    def __init__(self, actor: str, action: str, roles: Sequence[str], estate_id: str | None) -> None:
        self.roles = tuple(roles)
        where_zh = f"在小区 {estate_id} " if estate_id else ""
        where_en = f" in estate {estate_id}" if estate_id else ""
        wanted_zh, wanted = "或".join(ROLE_NAMES_ZH.get(role, role) for role in roles), " or ".join(roles)
        super().__init__(
            f"您{where_zh}没有办理此事的权限（需要“{wanted_zh}”角色）。如确需办理，请联系管理员。",
            f"You have no right to do this{where_en} (role needed: {wanted}). Ask an administrator for it.",
            actor=actor,
            action=action,
            object_kind="estate" if estate_id else "page",
            object_id=estate_id or action,
            estate_id=estate_id,
        )


class UnknownCredentialError(RefusedError):
    """A gateway's credential that is unknown, expired or revoked: which of them is not told."""

    code = "unknown_credential"

    def __init__(self, gateway_id: str, action: str) -> None:
        super().__init__(
            "网关凭据无效或已停用，请换上新凭据。",
            "The gateway's credential is unknown, expired or revoked; give it a new one.",
            actor="unknown",
            action=action,
            object_kind="gateway",
            object_id=gateway_id,
        )


class ForeignEstateError(RefusedError):
    """A gateway asks for an estate outside its scope."""

    code = "foreign_estate"

    def __init__(self, gateway_id: str, action: str, estate_id: str) -> None:
        super().__init__(
            f"该网关无权访问小区 {estate_id}。",
            f"This gateway may not reach estate {estate_id}.",
            actor=f"gateway:{gateway_id}",
            action=action,
            object_kind="estate",
            object_id=estate_id,
            estate_id=estate_id,
        )


class NotLoggedInError(ExplainedError):
    """Nobody is logged in, or the login has ended."""

    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("请先登录。", "Please log in first.")


class LoginRefusedError(ExplainedError):
    """Wrong login or password; which one is not told."""

    code = "login_refused"

    def __init__(self) -> None:
        super().__init__(
            "用户名或密码不对，请重新输入；忘记密码请到小区服务窗口重置。",
            "Wrong login or password. Try again, or have it reset at the estate's service window.",
        )


class TooManyAttemptsError(ExplainedError):
    """More attempts than are answered in the time."""

    code = "too_many_attempts"

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        minutes = max(1, -(-retry_after_s // 60))
        super().__init__(
            f"尝试次数过多，请 {minutes} 分钟后再试；急用请到小区服务窗口办理。",
            f"Too many attempts. Try again in {minutes} min, or come to the estate's service window.",
        )


class LoginTakenError(ExplainedError):
    """A login that somebody has already."""

    code = "login_taken"

    def __init__(self, login: str) -> None:
        self.login = login
        super().__init__(
            f"登录名 {login} 已被使用，请换一个。", f"The login {login} is taken; choose another."
        )


class UnknownPrincipalError(ExplainedError):
    """No such login."""

    code = "unknown_principal"

    def __init__(self, login: str) -> None:
        self.login = login
        super().__init__(
            f"没有登录名 {login}，用 principal list 查看。",
            f"There is no login {login}; see `principal list`.",
        )


class WeakPasswordError(ExplainedError):
    """A password that is too short to be accepted."""

    code = "weak_password"

    def __init__(self, length_min: int) -> None:
        super().__init__(f"密码至少 {length_min} 位。", f"A password has at least {length_min} characters.")


class UnknownEstateError(ExplainedError):
    """A scope names an estate that is not registered."""

    code = "unknown_estate"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"没有小区 {estate_id}，请先用 load-estates 建立。",
            f"There is no estate {estate_id}; make it with `load-estates` first.",
        )


class BadNameError(ExplainedError):
    """A login or a gateway's id with characters that are not taken."""

    code = "bad_name"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"名称 {name!r} 不可用：登录名不含空格，网关编号用小写字母、数字和连字符，最多 64 个字符。",
            f"{name!r} cannot be used: a login has no blanks, a gateway's id lower-case letters, digits and "
            "hyphens; at most 64 characters.",
        )


class UnknownGatewayError(ExplainedError):
    """No such gateway."""

    code = "unknown_gateway"

    def __init__(self, gateway_id: str) -> None:
        self.gateway_id = gateway_id
        super().__init__(
            f"没有网关 {gateway_id}，请先登记。", f"There is no gateway {gateway_id}; add it first."
        )
