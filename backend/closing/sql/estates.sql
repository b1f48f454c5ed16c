-- 各小区收缴: a book a row, for those who look across estates.
SELECT district AS c1, estate.name_zh AS c2, households AS c3, opening_fen AS c4, charged_fen AS c5,
       received_fen AS c6, opening_fen + charged_fen - received_fen AS c7,
       CASE WHEN opening_fen + charged_fen > 0 AND received_fen >= 0
            THEN (received_fen * 1000 / (opening_fen + charged_fen))::integer END AS c8,
       coalesce(unremitted_fen, 0) AS c9, book.book_id AS opens
FROM (
    SELECT book_id, count(*) FILTER (WHERE opening_fen + charged_fen <> received_fen) AS households,
           coalesce(sum(opening_fen), 0)::bigint AS opening_fen, coalesce(sum(charged_fen), 0)::bigint AS charged_fen,
           coalesce(sum(received_fen), 0)::bigint AS received_fen
    FROM household_movement(:books, :from_on, :to_on)
    GROUP BY book_id
) AS sums
JOIN book USING (book_id)
JOIN estate ON estate.estate_id = book.estate_id
LEFT JOIN (
    SELECT day.book_id, sum(day.credit_fen - day.debit_fen)::bigint AS unremitted_fen
    FROM account_day AS day JOIN account USING (account_code)
    WHERE day.book_id = ANY(:books) AND day.effective_on < :to_on
      AND account.role IN ('rent_for_treasury_collected', 'late_fee_collected', 'damage_collected',
                           'interest_for_treasury')
    GROUP BY day.book_id
) AS treasury ON treasury.book_id = book.book_id
