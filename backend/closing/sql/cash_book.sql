-- 现金银行日记账: each day's money in and out of cash, bank and channels, with the balance at its end.
SELECT account_code AS c1, name_zh AS c2, day AS c3, debit_fen AS c4, credit_fen AS c5,
       (sum(moved_fen) OVER (PARTITION BY account_code ORDER BY day NULLS FIRST))::bigint AS c6,
       account_code || coalesce(':' || to_char(day, 'YYYY-MM-DD'), '') AS opens
FROM (
    SELECT account_code, effective_on AS day, sum(debit_fen)::bigint AS debit_fen,
           sum(credit_fen)::bigint AS credit_fen, sum(debit_fen - credit_fen)::bigint AS moved_fen
    FROM account_day
    WHERE book_id = ANY(:books) AND effective_on >= :from_on AND effective_on < :to_on
    GROUP BY account_code, effective_on
    UNION ALL
    SELECT account_code, NULL, 0, 0, sum(debit_fen - credit_fen)::bigint
    FROM account_day WHERE book_id = ANY(:books) AND effective_on < :from_on
    GROUP BY account_code HAVING sum(debit_fen - credit_fen) <> 0
) AS moved JOIN account USING (account_code)
WHERE account.role IN ('cash', 'bank', 'held_by_stripe', 'held_by_wechat', 'held_by_alipay', 'payout_in_transit')
