# ruff: noqa: E501 (SQL reads better with its columns on one line)
"""Households that each owe a month's rent and have a checkout open: by SQL, so that thousands take a second.

And the same rows that a settled notice makes, by bare SQL on tables without checks, triggers and foreign
keys: what `payments.webhooks` is measured against.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

RENT_FEN = 38_640

# `many` households; their ids are md5 of a word and their number, so that a notice is made without a look.
TOWN = """
INSERT INTO estate (estate_id, name_zh, name_en, district, faces_enabled, fpir, hmac_key_sealed, created_at)
    VALUES ('bench', '基准', 'bench', '蓬江区', false, 0.003, '-', now());
INSERT INTO building (estate_id, building_id, name_zh, floors, units_per_floor) VALUES ('bench', 'a', 'A栋', 6, 99);
INSERT INTO principal (principal_id, login, display_name, created_at)
    VALUES (md5('principal')::uuid, 'bench', 'bench', now());
INSERT INTO household (household_id, estate_id, ref, created_at)
    SELECT md5('household' || n)::uuid, 'bench', 'h' || n, now() FROM generate_series(0, {many} - 1) AS n;
INSERT INTO unit (unit_id, estate_id, building_id, floor, number)
    SELECT md5('unit' || n)::uuid, 'bench', 'a', 1, n::text FROM generate_series(0, {many} - 1) AS n;
INSERT INTO tenancy (tenancy_id, household_id, unit_id, monthly_rent_fen, from_on, created_at)
    SELECT md5('tenancy' || n)::uuid, md5('household' || n)::uuid, md5('unit' || n)::uuid, {rent}, '2026-01-01', now()
    FROM generate_series(0, {many} - 1) AS n;
INSERT INTO rent_charge (charge_id, estate_id, household_id, tenancy_id, unit_id, month, revision, due_on, amount_fen,
                         charged_at)
    SELECT md5('charge' || n)::uuid, 'bench', md5('household' || n)::uuid, md5('tenancy' || n)::uuid,
           md5('unit' || n)::uuid, date_trunc('month', now())::date, 0, now()::date, {rent}, now()
    FROM generate_series(0, {many} - 1) AS n;
INSERT INTO rent_charge_line (charge_id, line_no, kind, from_on, to_on, amount_fen, carried_fen, label_zh)
    SELECT md5('charge' || n)::uuid, 1, 'rent', date_trunc('month', now())::date,
           (date_trunc('month', now()) + interval '1 month')::date, {rent}, 0, '租金'
    FROM generate_series(0, {many} - 1) AS n;
INSERT INTO checkout (checkout_id, estate_id, household_id, principal_id, provider, method, amount_fen, return_url,
                      idempotency_key, state, provider_ref, url, created_at, expires_at, checks)
    SELECT md5('checkout' || n)::uuid, 'bench', md5('household' || n)::uuid, md5('principal')::uuid, 'stripe',
           'wechat_pay', {rent}, 'https://city.invalid', 'checkout-' || n, 'open', 'cs_' || n, 'https://x.invalid',
           now(), now() + interval '1 hour', 0
    FROM generate_series(0, {many} - 1) AS n;
ANALYZE;
"""

BARE_TABLES = """
CREATE SCHEMA bare;
CREATE TABLE bare.provider_notice (LIKE provider_notice INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES);
CREATE TABLE bare.journal_entry (LIKE journal_entry INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES);
CREATE TABLE bare.posting (LIKE posting INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TABLE bare.payment (LIKE payment INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TABLE bare.payment_allocation (LIKE payment_allocation INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TABLE bare.checkout (LIKE checkout INCLUDING DEFAULTS INCLUDING INDEXES);
INSERT INTO bare.checkout SELECT * FROM checkout;
"""
_NOTICE = """
INSERT INTO bare.provider_notice (provider, event_id, body, received_at, state, attempts, next_try_at)
VALUES ('stripe', %s, %s, now(), 'waiting', 0, now())
"""
_SETTLE = (
    """
    INSERT INTO bare.journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen,
                                    summary_zh, actor)
    SELECT 'bench', 'payment', 'stripe:pi_' || n, now()::date, now(), 4, 38640, '收款', '支付结算'
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
    """,
    """
    INSERT INTO bare.posting (entry_id, line_no, account_code, debit_fen, credit_fen, estate_id, household_id, channel)
    SELECT entry_id, line, '1212.01', 38640, 0, 'bench', md5('household')::uuid, 'wechat_pay'
    FROM bare.journal_entry, generate_series(1, 4) AS line
    WHERE event_key IN (SELECT 'stripe:pi_' || n FROM generate_series(%(first)s::int, %(last)s::int) AS n)
    """,
    """
    INSERT INTO bare.payment (payment_id, receipt_number, entry_id, estate_id, household_id, provider, provider_ref,
                              channel, amount_fen, paid_at, recorded_at)
    SELECT md5('payment' || n)::uuid, 'SJ' || n, n, 'bench', md5('household' || n)::uuid, 'stripe', 'pi_' || n,
           'wechat_pay', 38640, now(), now()
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
    """,
    """
    INSERT INTO bare.payment_allocation (payment_id, charge_id, allocation_no, due, amount_fen, from_prepaid,
                                         allocated_at)
    SELECT md5('payment' || n)::uuid, md5('charge' || n)::uuid, 1, 'rent', 38640, false, now()
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
    """,
    """
    UPDATE bare.checkout SET state = 'paid', next_check_at = NULL
    WHERE checkout_id IN (SELECT md5('checkout' || n)::uuid FROM generate_series(%(first)s::int, %(last)s::int) AS n)
    """,
    """
    UPDATE bare.provider_notice SET state = 'settled', finished_at = now()
    WHERE event_id IN (SELECT 'evt_' || n FROM generate_series(%(first)s::int, %(last)s::int) AS n)
    """,
)


def town_moment() -> int:
    """When the town's payments are made, in seconds since 1970."""
    return int(datetime.now(UTC).timestamp())


def bare_notice(connection: psycopg.Connection[Any], number: int, body: bytes) -> None:
    """Keep one notice, in a transaction of its own on an autocommit connection."""
    connection.execute(_NOTICE, (f"evt_{number}", body))


def bare_settlement(connection: psycopg.Connection[Any], first: int, last: int) -> None:
    """What becomes of some notices, in one transaction."""
    with connection.transaction():
        for statement in _SETTLE:
            connection.execute(statement, {"first": first, "last": last})
