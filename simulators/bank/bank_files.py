"""What the bank writes: CSV, camt.053 and MT940 of the same lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta
from xml.sax.saxutils import escape

from simulators.bank.channel_files import yuan
from simulators.bank.month import BankLine

CSV_HEADER = ("交易日期", "流水号", "账号", "收入", "支出", "余额", "对方户名", "附言", "摘要")


def bank_csv(lines: Sequence[BankLine], account_no: str, opening_fen: int) -> bytes:
    """One row a line, GBK, money in and out in two columns."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_HEADER)
    balance = opening_fen
    for line in lines:
        balance += line.amount_fen
        came, went = (yuan(line.amount_fen), "") if line.amount_fen > 0 else ("", yuan(-line.amount_fen))
        writer.writerow(
            (
                line.day.isoformat(),
                line.number,
                account_no,
                came,
                went,
                yuan(balance),
                line.payer,
                line.ref,
                line.note,
            )
        )
    return out.getvalue().encode("gb18030")


def camt053(
    lines: Sequence[BankLine], account_no: str, opening_fen: int, from_on: date, to_on: date
) -> bytes:
    """One statement of [from_on, to_on)."""
    closing_fen = opening_fen + sum(line.amount_fen for line in lines)
    entries = "".join(_entry(line) for line in lines)
    before, last = from_on - timedelta(days=1), to_on - timedelta(days=1)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">
<BkToCstmrStmt><GrpHdr><MsgId>S{last:%Y%m%d}</MsgId><CreDtTm>{to_on}T06:00:00</CreDtTm></GrpHdr>
<Stmt><Id>{last:%Y%m%d}</Id><Acct><Id><Othr><Id>{account_no}</Id></Othr></Id><Ccy>CNY</Ccy></Acct>
{_balance("OPBD", opening_fen, before)}{_balance("CLBD", closing_fen, last)}\
<TxsSummry><TtlNtries><NbOfNtries>{len(lines)}</NbOfNtries></TtlNtries></TxsSummry>
{entries}</Stmt></BkToCstmrStmt></Document>
""".encode()


def mt940(lines: Sequence[BankLine], account_no: str, opening_fen: int, from_on: date, to_on: date) -> bytes:
    """One statement of [from_on, to_on)."""
    closing_fen = opening_fen + sum(line.amount_fen for line in lines)
    before, last = from_on - timedelta(days=1), to_on - timedelta(days=1)
    text = [
        f":20:S{last:%Y%m%d}",
        f":25:{account_no}",
        f":28C:{last.timetuple().tm_yday}/1",
        f":60F:{_mark(opening_fen)}{before:%y%m%d}CNY{_comma(opening_fen)}",
    ]
    for line in lines:
        text.append(
            f":61:{line.day:%y%m%d}{line.day:%m%d}{_mark(line.amount_fen)}{_comma(line.amount_fen)}"
            f"NTRFNONREF//{line.number}"
        )
        text.append(f":86:{line.note} {line.payer}".rstrip())
    text.append(f":62F:{_mark(closing_fen)}{last:%y%m%d}CNY{_comma(closing_fen)}")
    return ("\r\n".join(text) + "\r\n").encode()


def _entry(line: BankLine) -> str:
    direction = "CRDT" if line.amount_fen > 0 else "DBIT"
    end = escape(line.ref) or "NOTPROVIDED"
    payer = (
        f"<RltdPties><Dbtr><Pty><Nm>{escape(line.payer)}</Nm></Pty></Dbtr></RltdPties>" if line.payer else ""
    )
    return (
        f'<Ntry><Amt Ccy="CNY">{yuan(abs(line.amount_fen))}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{line.day}</Dt></BookgDt><ValDt><Dt>{line.day}</Dt></ValDt>"
        f"<AcctSvcrRef>{line.number}</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>{end}</EndToEndId></Refs>"
        f"{payer}<RmtInf><Ustrd>{escape(line.note)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
    )


def _balance(code: str, fen: int, day: date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="CNY">{yuan(abs(fen))}</Amt><CdtDbtInd>{"CRDT" if fen >= 0 else "DBIT"}</CdtDbtInd>'
        f"<Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _mark(fen: int) -> str:
    return "C" if fen >= 0 else "D"


def _comma(fen: int) -> str:
    return yuan(abs(fen)).replace(".", ",")
