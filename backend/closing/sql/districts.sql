-- 各区收缴: the estates of a district added up.
SELECT district AS c1, count(*) AS c2, sum(opening_fen)::bigint AS c3, sum(charged_fen)::bigint AS c4,
       sum(received_fen)::bigint AS c5, (sum(opening_fen) + sum(charged_fen) - sum(received_fen))::bigint AS c6,
       CASE WHEN sum(opening_fen) + sum(charged_fen) > 0 AND sum(received_fen) >= 0
            THEN floor(sum(received_fen) * 1000 / (sum(opening_fen) + sum(charged_fen)))::integer END AS c7,
       district AS opens
FROM (
    SELECT book_id, sum(opening_fen)::bigint AS opening_fen, sum(charged_fen)::bigint AS charged_fen,
           sum(received_fen)::bigint AS received_fen
    FROM household_movement(:books, :from_on, :to_on)
    GROUP BY book_id
) AS sums
JOIN book USING (book_id)
JOIN estate ON estate.estate_id = book.estate_id
GROUP BY district
