-- 收缴率: by estate and charge month, what was charged up to the end of the days, what of it is left.
SELECT estate.name_zh AS c1, to_char(charged.month, 'YYYY-MM') AS c2, charged.fen AS c3,
       charged.fen - coalesce(open.fen, 0) AS c4, coalesce(open.fen, 0) AS c5,
       CASE WHEN charged.fen > 0 AND coalesce(open.fen, 0) <= charged.fen
            THEN ((charged.fen - coalesce(open.fen, 0)) * 1000 / charged.fen)::integer END AS c6,
       charged.book_id || ':' || to_char(charged.month, 'YYYY-MM') AS opens
FROM (
    SELECT book.book_id, book.estate_id, rent_charge.month, sum(rent_charge.amount_fen)::bigint AS fen
    FROM rent_charge JOIN book USING (estate_id)
    WHERE book.book_id = ANY(:books)
      AND (rent_charge.charged_at AT TIME ZONE 'Asia/Shanghai')::date < :to_on
      AND rent_charge.month >= coalesce(CAST(:charges_since AS date), CAST(:from_on AS date) - interval '11 months')
      AND (CAST(:charges_since AS date) IS NULL OR rent_charge.month < :to_on)
    GROUP BY book.book_id, book.estate_id, rent_charge.month
) AS charged
JOIN estate ON estate.estate_id = charged.estate_id
LEFT JOIN (
    SELECT book_id, month, sum(left_fen)::bigint AS fen
    FROM open_charge(:books, CAST(:to_on AS date) - 1)
    GROUP BY book_id, month
) AS open ON open.book_id = charged.book_id AND open.month = charged.month
