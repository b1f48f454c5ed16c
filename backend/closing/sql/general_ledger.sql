-- 总账明细: an account's postings with the balance after each; all accounts when none is named.
-- A first row for each account carries its opening balance.
SELECT account_code AS c1, effective_on AS c2, entry_id AS c3, summary_zh AS c4,
       debit_fen AS c5, credit_fen AS c6,
       (sum(moved_fen) OVER (PARTITION BY account_code ORDER BY effective_on NULLS FIRST, entry_id, line_no))::bigint AS c7,
       line_no AS place, entry_id AS opens
FROM (
    SELECT posting.account_code, entry.effective_on, entry.entry_id, posting.line_no, entry.summary_zh,
           posting.debit_fen, posting.credit_fen, posting.debit_fen - posting.credit_fen AS moved_fen
    FROM posting JOIN journal_entry AS entry USING (entry_id)
    WHERE entry.book_id = ANY(:books) AND entry.effective_on >= :from_on AND entry.effective_on < :to_on
      AND (CAST(:account AS text) IS NULL OR posting.account_code = :account)
    UNION ALL
    SELECT posting.account_code, NULL, NULL, 0, '期初余额', 0, 0,
           sum(posting.debit_fen - posting.credit_fen)::bigint
    FROM posting JOIN journal_entry AS entry USING (entry_id)
    WHERE entry.book_id = ANY(:books) AND entry.effective_on < :from_on
      AND (CAST(:account AS text) IS NULL OR posting.account_code = :account)
    GROUP BY posting.account_code HAVING sum(posting.debit_fen - posting.credit_fen) <> 0
) AS moved
