-- 分户账: what each household owes, has paid ahead and has deposited, posting by posting, with the balance
-- after each; all households when none is named.
SELECT ref AS c1, account_code AS c2, name_zh AS c3, effective_on AS c4, moved.entry_id AS c5,
       summary_zh AS c6, debit_fen AS c7, credit_fen AS c8,
       (sum(moved_fen) OVER (PARTITION BY household_id, account_code
                             ORDER BY effective_on NULLS FIRST, entry_id, line_no))::bigint AS c9,
       line_no, household_id, entry_id AS opens
FROM (
    SELECT posting.household_id, posting.account_code, entry.effective_on, entry.entry_id, posting.line_no,
           entry.summary_zh, posting.debit_fen, posting.credit_fen,
           posting.debit_fen - posting.credit_fen AS moved_fen
    FROM posting JOIN journal_entry AS entry USING (entry_id)
    WHERE entry.book_id = ANY(:books) AND entry.effective_on >= :from_on AND entry.effective_on < :to_on
      AND posting.household_id IS NOT NULL
      AND (CAST(:household AS uuid) IS NULL OR posting.household_id = :household)
      AND posting.account_code IN (SELECT account_code FROM household_account)
    UNION ALL
    SELECT posting.household_id, posting.account_code, NULL, NULL, 0, '期初余额', 0, 0,
           sum(posting.debit_fen - posting.credit_fen)::bigint
    FROM posting JOIN journal_entry AS entry USING (entry_id)
    WHERE entry.book_id = ANY(:books) AND entry.effective_on < :from_on
      AND posting.household_id IS NOT NULL
      AND (CAST(:household AS uuid) IS NULL OR posting.household_id = :household)
      AND posting.account_code IN (SELECT account_code FROM household_account)
    GROUP BY posting.household_id, posting.account_code
    HAVING sum(posting.debit_fen - posting.credit_fen) <> 0
) AS moved
JOIN household_label USING (household_id)
JOIN account USING (account_code)
