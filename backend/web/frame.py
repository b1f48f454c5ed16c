"""What every page shares: templates, static files, filters, and the menu of whoever is logged in."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Flask, render_template, request, url_for

from backend.api.errors import PageError, set_page
from backend.identity.principal import Principal, Role
from backend.identity.web import current_principal
from backend.web import words
from backend.web.rent_view import method_zh

# Blueprints look for templates in each other's folders, so this one serves all of them.
blueprint = Blueprint(
    "assets", __name__, static_folder="static", static_url_path="/static", template_folder="templates"
)


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A page, and the roles that find it in their menu."""

    endpoint: str
    roles: tuple[Role, ...]
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class MenuLink:
    """One link of the menu as it stands on a page."""

    href: str
    zh: str
    en: str
    current: bool


MENU = (
    MenuEntry("tenant.rent", ("tenant",), "我的房租", "My rent: what I owe, and pay"),
    MenuEntry("payers.index", ("tenant",), "家人代付、自动扣款", "Others who pay for me; autopay"),
    MenuEntry("door_codes.index", ("tenant",), "我的门码", "My door codes: QR, PIN, visitors"),
    MenuEntry("finance.today", ("finance", "supervisor"), "今日账簿", "Today's ledger"),
    MenuEntry("rent_runs.index", ("finance",), "月度计租", "The monthly run"),
    MenuEntry("measures.index", ("finance",), "抄表和面积", "Meter readings and areas"),
    MenuEntry("tariffs.index", ("finance", "supervisor"), "收费标准", "Prices and relief tiers"),
    MenuEntry("counter.index", ("finance",), "窗口收款", "The counter: cash, transfers, codes"),
    MenuEntry("money.index", ("finance",), "退款、争议、押金", "Refunds, disputes, deposits, parked notices"),
    MenuEntry(
        "reconciliation.index", ("finance", "supervisor"), "对账", "Reconciliation with channels and banks"
    ),
    MenuEntry(
        "handing_on.index", ("finance", "supervisor"), "缴库和转付", "To the treasury and to companies"
    ),
    MenuEntry("reports.index", ("finance", "supervisor"), "报表", "Reports, with Excel and CSV"),
    MenuEntry("closing.index", ("finance", "supervisor"), "月末结账", "Month close and its packs"),
    MenuEntry("oversight.index", ("supervisor", "finance"), "各小区一览", "Across estates"),
    MenuEntry("arrears.index", ("finance", "supervisor"), "欠费提醒", "Who is behind"),
    MenuEntry("write_offs.index", ("finance", "supervisor"), "坏账核销", "Write-offs and what came back"),
    MenuEntry("my_data.index", ("tenant",), "人脸与我的信息", "My face and my data"),
    MenuEntry("operator.doors", ("operator", "admin"), "门口现况", "Live doors"),
    MenuEntry("door_orders.index", ("operator",), "开门和封闭", "Open, lock, release"),
    MenuEntry("devices.index", ("operator", "admin"), "设备与告警", "Devices and alarms"),
    MenuEntry("people.index", ("operator", "admin"), "住户", "Households and people"),
    MenuEntry("evidence.index", ("operator", "finance", "admin"), "证明文件", "Evidence files"),
    # Last: nobody begins the day there.
    MenuEntry("approvals.index", ("finance", "operator", "admin"), "审批", "Approvals"),
)

ERROR_TITLES = {
    400: ("这一步没有成功", "That did not work"),
    403: ("这里不归您的账号看", "This is not for your account"),
    404: ("没有找到这个页面", "Page not found"),
    429: ("操作太频繁了", "Too many tries"),
    500: ("系统出了点问题", "Something went wrong on our side"),
    503: ("系统正忙", "The system is busy"),
}


def install(app: Flask) -> None:
    """Filters and the values that every template may use."""
    app.jinja_env.filters.update(
        yuan=words.yuan,
        plain_yuan=words.plain_yuan,
        figure=figure,
        iso=words.iso,
        clock=words.clock,
        day_zh=words.day_zh,
        day_en=words.day_en,
        weekday_zh=words.weekday_zh,
        moment_zh=words.moment_zh,
        method_zh=method_zh,
    )
    app.context_processor(_page_values)
    set_page(app, error_page)


def error_page(told: PageError) -> str:
    """The page about an error: what happened, what to do, and the number to quote."""
    title_zh, title_en = ERROR_TITLES.get(told.status, ERROR_TITLES[500 if told.status >= 500 else 400])
    return render_template("error.html", told=told, title_zh=title_zh, title_en=title_en)


def menu_of(principal: Principal) -> list[MenuEntry]:
    """The pages of somebody's roles, in the menu's order."""
    return [entry for entry in MENU if any(principal.holds(role) for role in entry.roles)]


def start_endpoint(principal: Principal) -> str:
    """Where somebody goes after logging in: the first page of their role; whoever has several chooses."""
    entries = menu_of(principal)
    roles = {next(role for role in entry.roles if principal.holds(role)) for entry in entries}
    return entries[0].endpoint if len(roles) == 1 else "home.index"


def figure(amount_fen: int) -> str:
    """A figure in a debit or credit column: nothing is left blank, as on paper."""
    return words.plain_yuan(amount_fen) if amount_fen else ""


def _page_values() -> dict[str, object]:
    viewer = current_principal()
    return {
        "viewer": viewer,
        "menu": [] if viewer is None else [_link(entry) for entry in menu_of(viewer)],
    }


def _link(entry: MenuEntry) -> MenuLink:
    part = entry.endpoint.partition(".")[0]
    return MenuLink(url_for(entry.endpoint), entry.zh, entry.en, request.blueprint == part)
