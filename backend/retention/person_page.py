"""What is held of a person as documents that people read: a page, and the same as PDF."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from backend.documents.pdf import render
from backend.retention.person_rows import Held

BEIJING = ZoneInfo("Asia/Shanghai")
TITLES = {
    "person": "本人登记",
    "household_member": "家庭成员关系",
    "tenancy": "租约",
    "door_right": "通行权限",
    "card": "门卡",
    "consent": "同意记录",
    "access_record": "通行记录",
    "erasure_order": "人脸删除指令",
    "erasure_certificate": "人脸删除证明",
    "evidence": "证明文件",
    "principal": "登录账号",
    "audit_record": "与本人有关的操作记录",
    "rent_charge": "租金应收",
    "payment": "收款",
}
# The columns that people ask about; others stand under their own names.
FIELDS = {
    "name": "姓名",
    "born_on": "出生日期",
    "ref": "编号",
    "estate_id": "小区",
    "unit_id": "房源编号",
    "kind": "种类",
    "from_on": "自",
    "to_on": "至",
    "starts_at": "自",
    "ends_at": "至",
    "created_at": "登记时间",
    "purpose": "用途",
    "notice_version": "告知书版本",
    "channel": "渠道",
    "given_at": "同意时间",
    "withdrawn_at": "撤回时间",
    "device_id": "门口",
    "door_group": "门组",
    "credential": "凭证",
    "outcome": "结果",
    "cause": "原因",
    "received_at": "时间",
    "ordered_at": "发出时间",
    "erased_at": "删除时间",
    "reason": "原因",
    "action": "操作",
    "at": "时间",
    "login": "登录名",
    "amount_fen": "金额",
    "monthly_rent_fen": "月租金",
    "month": "月份",
    "due_on": "应缴日",
    "paid_at": "付款时间",
    "receipt_number": "收据号",
    "method": "方式",
}
PAGE_HEAD = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>我的信息</title>
<style>body{font:18px/1.6 sans-serif;max-width:60em;margin:auto;padding:1em}
table{border-collapse:collapse;width:100%;margin:0 0 1em}td{border:1px solid #bbb;padding:.3em}
td:first-child{width:14em}</style></head><body>"""
PDF = """
#let data = json(bytes(sys.inputs.data))
#set page(paper: "a4", margin: (x: 18mm, y: 16mm),
  footer: context align(center, text(8pt)[#data.foot #h(1em) #counter(page).display("1 / 1", both: true)]))
#set text(font: "Noto Sans CJK SC", size: 9.5pt, lang: "zh")
#align(center, text(16pt, weight: "bold", data.title))
#align(center, data.subtitle)
#for one in data.sections {
  v(4mm)
  text(12pt, weight: "bold", one.title)
  for row in one.rows {
    v(1mm)
    block(breakable: false,
      table(columns: (42mm, 1fr), stroke: 0.4pt + luma(170), inset: 4pt, ..row.flatten()))
  }
}
"""


def person_page(held: Held, now: datetime) -> str:
    """For a browser."""
    parts = [PAGE_HEAD, f"<h1>我的信息 What is held of me</h1><p>{_moment(now)}</p>"]
    for table, rows in held.items():
        parts.append(f"<h2>{html.escape(_title(table))}</h2>")
        for row in rows:
            cells = "".join(
                f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
                for name, value in _facts(row)
            )
            parts.append(f"<table>{cells}</table>")
    parts.append("</body></html>")
    return "\n".join(parts)


def person_pdf(held: Held, now: datetime, font_folder: Path) -> bytes:
    """For paper.

    Raises:
        FontMissingError
    """
    sections = [
        {"title": _title(table), "rows": [_facts(row) for row in rows]} for table, rows in held.items()
    ]
    data = {
        "title": "我的信息",
        "subtitle": f"本系统保存的全部内容 What is held of me · {_moment(now)}",
        "foot": "密钥和校验码不在其中；更正或删除请到小区窗口。",
        "sections": sections,
    }
    return render(PDF, data, now, font_folder)


def _title(table: str) -> str:
    return f"{TITLES[table]} {table}" if table in TITLES else table


def _facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(FIELDS.get(name, name), _readable(name, value)) for name, value in row.items()]


def _readable(name: str, value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "是 yes" if value else "否 no"
    if name.endswith("_fen") and isinstance(value, int):
        sign, amount_fen = "-" if value < 0 else "", abs(value)
        return f"{sign}{amount_fen // 100:,}.{amount_fen % 100:02d} 元"
    if name.endswith("_at") and isinstance(value, str):
        return _moment(datetime.fromisoformat(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M}"
