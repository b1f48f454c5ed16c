-- 费用月份明细: each household's charge of a month, what of it is left at the end of the days.
SELECT ref AS c1, to_char(charged.month, 'YYYY-MM') AS c2, charged.fen AS c3,
       charged.fen - coalesce(open.fen, 0) AS c4, coalesce(open.fen, 0) AS c5,
       charged.household_id AS opens
FROM (
    SELECT book.book_id, rent_charge.household_id, rent_charge.month,
           sum(rent_charge.amount_fen)::bigint AS fen
    FROM rent_charge JOIN book USING (estate_id)
    WHERE book.book_id = ANY(:books)
      AND (rent_charge.charged_at AT TIME ZONE 'Asia/Shanghai')::date < :to_on
      AND rent_charge.month = coalesce(CAST(:charge_month AS date), CAST(:from_on AS date))
    GROUP BY book.book_id, rent_charge.household_id, rent_charge.month
) AS charged
JOIN household_label USING (household_id)
LEFT JOIN (
    SELECT household_id, month, sum(left_fen)::bigint AS fen
    FROM open_charge(:books, CAST(:to_on AS date) - 1)
    GROUP BY household_id, month
) AS open ON open.household_id = charged.household_id AND open.month = charged.month
