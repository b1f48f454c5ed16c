-- What a household owes, charge by charge (see 0007), in one pass: what no charge explains is counted from the
-- same rows. Joining them to what is owed a second time let the planner, which cannot know how many households
-- a book has, compare each with each.
CREATE OR REPLACE FUNCTION open_charge(books text[], as_of date)
RETURNS TABLE (book_id text, household_id uuid, charge_id uuid, month date, due_on date, left_fen bigint)
LANGUAGE sql STABLE AS $$
    WITH owed AS (
        SELECT entry.book_id, posting.household_id, sum(posting.debit_fen - posting.credit_fen)::bigint AS fen
        FROM posting
        JOIN due_account USING (account_code)
        JOIN journal_entry AS entry USING (entry_id)
        WHERE entry.book_id = ANY(books) AND entry.effective_on <= as_of AND due_account.side = 'owed'
          AND posting.household_id IS NOT NULL
        GROUP BY entry.book_id, posting.household_id
        HAVING sum(posting.debit_fen - posting.credit_fen) <> 0
    ), explained AS (
        SELECT owed.book_id, owed.household_id, owed.fen, charge.charge_id, charge.month, charge.due_on,
               least(charge.amount_fen, owed.fen - charge.newer_fen) AS left_fen
        FROM owed
        JOIN book USING (book_id)
        LEFT JOIN LATERAL (
            SELECT rent_charge.*,
                   (sum(amount_fen) OVER (ORDER BY due_on DESC, month DESC, rent_charge.charge_id DESC) - amount_fen)::bigint
                       AS newer_fen
            FROM rent_charge
            WHERE rent_charge.household_id = owed.household_id AND rent_charge.estate_id = book.estate_id
              AND rent_charge.amount_fen > 0
              AND (rent_charge.charged_at AT TIME ZONE 'Asia/Shanghai')::date <= as_of
        ) AS charge ON charge.newer_fen < owed.fen
    )
    SELECT explained.book_id, explained.household_id, explained.charge_id, explained.month, explained.due_on,
           explained.left_fen
    FROM explained WHERE explained.charge_id IS NOT NULL
    UNION ALL
    SELECT explained.book_id, explained.household_id, NULL, NULL, NULL,
           (explained.fen - coalesce(sum(explained.left_fen), 0))::bigint
    FROM explained GROUP BY explained.book_id, explained.household_id, explained.fen
    HAVING explained.fen <> coalesce(sum(explained.left_fen), 0)
$$;
