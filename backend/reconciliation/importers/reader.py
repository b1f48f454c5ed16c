"""Which importer reads which format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backend.reconciliation.accounts import Account, Words
from backend.reconciliation.errors import FileEmptyError, WrongFormatError
from backend.reconciliation.importers import (
    alipay,
    bank_csv,
    camt053,
    mt940,
    stripe_report,
    wechat_flow,
    wechat_trade,
)
from backend.reconciliation.lines import Format, ReadFile
from backend.reconciliation.reading import Limits, check_size

_BY_REF: Mapping[Format, Callable[[bytes, str, Limits], ReadFile]] = {
    Format.STRIPE_REPORT: stripe_report.read,
    Format.WECHAT_TRADE: wechat_trade.read,
    Format.WECHAT_FLOW: wechat_flow.read,
    Format.ALIPAY: alipay.read,
}
_BY_WORDS: Mapping[Format, Callable[[bytes, str, Words, Limits], ReadFile]] = {
    Format.CAMT053: camt053.read,
    Format.MT940: mt940.read,
}


def read_file(raw: bytes, account: Account, format_: Format, limits: Limits) -> ReadFile:
    """Read a file of an account. Pure.

    Raises:
        WrongFormatError: the account has no such statements.
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    settings, ref = account.settings, account.account_ref
    if format_ not in account.formats:
        raise WrongFormatError(account.account_id, format_)
    if not raw:
        raise FileEmptyError
    check_size(raw, limits)
    if format_ in _BY_REF:
        return _BY_REF[format_](raw, ref, limits)
    if format_ in _BY_WORDS:
        return _BY_WORDS[format_](raw, ref, settings.words, limits)
    if format_ is Format.BANK_CSV and settings.csv is not None:
        return bank_csv.read(raw, ref, settings.csv, settings.words, limits)
    raise WrongFormatError(account.account_id, format_)
