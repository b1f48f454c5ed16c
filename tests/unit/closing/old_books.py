"""An old system's last evening for the tests, as a workbook and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.closing import take_over_file as file
from backend.documents.columns import Column, Sheet
from backend.documents.workbook import workbook_bytes

Row = Sequence[str]


def yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


@dataclass
class Evening:
    """Rows as people type them; the totals follow from them unless they are given.

    Attributes:
        arrears: household, unit, month, due day, item, fen.
        prepaid: household, fen.
        deposits: household, unit, fen.
        money: fen by the item's name; the bank holds what is missing to what is owed.
    """

    arrears: list[tuple[str, str, str, str, str, int]] = field(default_factory=list)
    prepaid: list[tuple[str, int]] = field(default_factory=list)
    deposits: list[tuple[str, str, int]] = field(default_factory=list)
    money: dict[str, int] = field(default_factory=dict)
    totals: dict[str, tuple[int | None, int]] = field(default_factory=dict)

    def all_money(self) -> dict[str, int]:
        owed = sum(self.money.get(name, 0) for name in file.OWED)
        whose = owed + sum(fen for _, fen in self.prepaid) + sum(fen for *_, fen in self.deposits)
        held = sum(self.money.get(name, 0) for name in file.HELD if name != "银行存款")
        return {"银行存款": whose - held, **self.money}

    def all_totals(self) -> dict[str, tuple[int | None, int]]:
        money = self.all_money()
        return {
            "欠费": (len(self.arrears), sum(fen for *_, fen in self.arrears)),
            "预收": (len(self.prepaid), sum(fen for _, fen in self.prepaid)),
            "押金": (len(self.deposits), sum(fen for *_, fen in self.deposits)),
            "资金": (None, sum(money.get(name, 0) for name in file.HELD)),
            "待缴待付": (None, sum(money.get(name, 0) for name in file.OWED)),
            "银行对账单余额": (None, money["银行存款"]),
            **self.totals,
        }

    def rows(self) -> Mapping[str, list[Row]]:
        """By sheet, in the order of its headings."""
        return {
            file.ARREARS: [(*row[:5], yuan(row[5])) for row in self.arrears],
            file.PREPAID: [(ref, yuan(fen)) for ref, fen in self.prepaid],
            file.DEPOSITS: [(ref, unit, yuan(fen)) for ref, unit, fen in self.deposits],
            file.MONEY: [(name, yuan(fen)) for name, fen in self.all_money().items()],
            file.TOTALS: [
                (name, "" if count is None else str(count), yuan(fen))
                for name, (count, fen) in self.all_totals().items()
            ],
        }

    def workbook(self) -> bytes:
        rows = self.rows()
        return workbook_bytes(
            Sheet(name, tuple(Column(one.titles[0]) for one in file.HEADINGS[name]), rows[name])
            for name in file.SHEETS
        )

    def csv(self, encoding: str = "utf-8-sig") -> bytes:
        target = io.StringIO()
        writer = csv.writer(target)
        writer.writerow([heading.titles[0] for heading in file.FLAT])
        for name, mine in self.rows().items():
            keys = [heading.key for heading in file.HEADINGS[name]]
            for row in mine:
                cells = {"sheet": name, **dict(zip(keys, row, strict=True))}
                writer.writerow([cells.get(heading.key, "") for heading in file.FLAT])
        return target.getvalue().encode(encoding)
