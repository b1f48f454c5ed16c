-- 应收/实收/欠收: by household, what was owed before, what was charged and received, what is owed now.
SELECT ref AS c1, unit AS c2, opening_fen AS c3, charged_fen AS c4, received_fen AS c5,
       opening_fen + charged_fen - received_fen AS c6,
       CASE WHEN opening_fen + charged_fen > 0 AND received_fen >= 0
            THEN (received_fen * 1000 / (opening_fen + charged_fen))::integer END AS c7,
       household_id AS opens
FROM (
    SELECT household_id, sum(opening_fen)::bigint AS opening_fen, sum(charged_fen)::bigint AS charged_fen,
           sum(received_fen)::bigint AS received_fen
    FROM household_movement(:books, :from_on, :to_on)
    GROUP BY household_id
) AS sums JOIN household_label USING (household_id)
WHERE opening_fen <> 0 OR charged_fen <> 0 OR received_fen <> 0
