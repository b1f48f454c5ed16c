-- 欠费明细: what each household owes at the end of the days, charge by charge.
SELECT ref AS c1, to_char(month, 'YYYY-MM') AS c2, due_on AS c3, left_fen AS c4, charge_id, household_id AS opens
FROM open_charge(:books, CAST(:to_on AS date) - 1)
JOIN household_label USING (household_id)
WHERE CAST(:household AS uuid) IS NULL OR household_id = :household
