-- 账龄: what each household owes at the end of the days, by how long it has been due.
SELECT ref AS c1, unit AS c2,
       coalesce(sum(left_fen) FILTER (WHERE age_days <= 0), 0)::bigint AS c3,
       coalesce(sum(left_fen) FILTER (WHERE age_days BETWEEN 1 AND 30), 0)::bigint AS c4,
       coalesce(sum(left_fen) FILTER (WHERE age_days BETWEEN 31 AND 90), 0)::bigint AS c5,
       coalesce(sum(left_fen) FILTER (WHERE age_days BETWEEN 91 AND 180), 0)::bigint AS c6,
       coalesce(sum(left_fen) FILTER (WHERE age_days BETWEEN 181 AND 365), 0)::bigint AS c7,
       coalesce(sum(left_fen) FILTER (WHERE age_days > 365), 0)::bigint AS c8,
       coalesce(sum(left_fen) FILTER (WHERE age_days IS NULL), 0)::bigint AS c9,
       sum(left_fen)::bigint AS c10, household_id AS opens
FROM (
    SELECT household_id, left_fen, (CAST(:to_on AS date) - 1) - due_on AS age_days
    FROM open_charge(:books, CAST(:to_on AS date) - 1)
) AS open
JOIN household_label USING (household_id)
GROUP BY household_id, ref, unit
