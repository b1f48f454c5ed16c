-- 试算平衡表: each account's opening balance, movements and closing balance; nothing where all are nil.
SELECT account_code AS c1, name_zh AS c2,
       greatest(opening_fen, 0) AS c3, greatest(-opening_fen, 0) AS c4,
       debit_fen AS c5, credit_fen AS c6,
       greatest(opening_fen + debit_fen - credit_fen, 0) AS c7,
       greatest(credit_fen - debit_fen - opening_fen, 0) AS c8,
       account_code AS opens
FROM (
    SELECT account_code,
           coalesce(sum(debit_fen - credit_fen) FILTER (WHERE effective_on < :from_on), 0)::bigint AS opening_fen,
           coalesce(sum(debit_fen) FILTER (WHERE effective_on >= :from_on), 0)::bigint AS debit_fen,
           coalesce(sum(credit_fen) FILTER (WHERE effective_on >= :from_on), 0)::bigint AS credit_fen
    FROM account_day
    WHERE book_id = ANY(:books) AND effective_on < :to_on
    GROUP BY account_code
) AS sums JOIN account USING (account_code)
WHERE opening_fen <> 0 OR debit_fen <> 0 OR credit_fen <> 0
