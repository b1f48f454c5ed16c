-- What the reports of all rooms mean by their words.

-- 应收 and 已收: the two accounts of each thing that households are charged, by the roles of the chart.
CREATE VIEW due_account AS
SELECT account.account_code, known.due, known.side
FROM account JOIN (VALUES
    ('rent_receivable', 'rent', 'owed'), ('rent_for_treasury_collected', 'rent', 'collected'),
    ('late_fee_receivable', 'late_fee', 'owed'), ('late_fee_collected', 'late_fee', 'collected'),
    ('property_fee_receivable', 'property_fee', 'owed'), ('property_fee_collected', 'property_fee', 'collected'),
    ('utilities_receivable', 'utilities', 'owed'), ('utilities_collected', 'utilities', 'collected'),
    ('deposit_receivable', 'deposit', 'owed'), ('deposit', 'deposit', 'collected'),
    ('damage_receivable', 'damage', 'owed'), ('damage_collected', 'damage', 'collected')
) AS known (role, due, side) USING (role);

-- The accounts of a household's own ledger (分户账): what it owes, has paid ahead, and has deposited.
CREATE VIEW household_account AS
SELECT account_code FROM due_account WHERE side = 'owed'
UNION
SELECT account_code FROM account WHERE role IN ('prepaid_rent', 'deposit', 'deposit_held');

-- What each day moved on an account: the sums of what is sealed, and what is waiting for its seal.
CREATE VIEW account_day AS
SELECT book_id, account_code, effective_on, debit_fen, credit_fen FROM balance_day
UNION ALL
SELECT entry.book_id, posting.account_code, entry.effective_on, posting.debit_fen, posting.credit_fen
FROM unsealed_entries() AS entry JOIN posting USING (entry_id);

-- How a household stands in reports: its number and its (latest) home, never a name.
CREATE VIEW household_label AS
SELECT household.household_id, household.ref,
       coalesce((SELECT unit.building_id || '-' || unit.number
                 FROM tenancy JOIN unit USING (unit_id)
                 WHERE tenancy.household_id = household.household_id
                 ORDER BY tenancy.from_on DESC, tenancy.tenancy_id LIMIT 1), '') AS unit
FROM household;

-- By book and household: what was owed before the days, and what was charged and received on them. Received is
-- what an entry moves from owed to collected, due by due; everything else that changes what is owed is charged
-- or let off.
CREATE FUNCTION household_movement(books text[], from_on date, to_on date)
RETURNS TABLE (book_id text, household_id uuid, opening_fen bigint, charged_fen bigint, received_fen bigint)
LANGUAGE sql STABLE AS $$
    SELECT by_entry.book_id, by_entry.household_id,
           coalesce(sum(owed_fen) FILTER (WHERE is_before), 0)::bigint,
           coalesce(sum(owed_fen) FILTER (WHERE NOT is_before AND owed_fen <> collected_fen), 0)::bigint,
           coalesce(-sum(owed_fen) FILTER (WHERE NOT is_before AND owed_fen = collected_fen), 0)::bigint
    FROM (
        SELECT entry.book_id, posting.household_id, due_account.due, posting.entry_id,
               bool_or(entry.effective_on < household_movement.from_on) AS is_before,
               coalesce(sum(posting.debit_fen - posting.credit_fen) FILTER (WHERE due_account.side = 'owed'), 0)
                   AS owed_fen,
               coalesce(sum(posting.debit_fen - posting.credit_fen)
                        FILTER (WHERE due_account.side = 'collected'), 0) AS collected_fen
        FROM posting
        JOIN due_account USING (account_code)
        JOIN journal_entry AS entry USING (entry_id)
        WHERE entry.book_id = ANY(books) AND entry.effective_on < household_movement.to_on
          AND posting.household_id IS NOT NULL
        GROUP BY entry.book_id, posting.household_id, due_account.due, posting.entry_id
    ) AS by_entry
    GROUP BY by_entry.book_id, by_entry.household_id
$$;

-- Of what a household owes at the end of a day, which charges it is made of: payments, relief and credits go
-- to the oldest charge first, so what is left is of the newest ones. It adds up to the books to the fen; what
-- no charge explains (an entry by hand) is a row without a charge.
CREATE FUNCTION open_charge(books text[], as_of date)
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
        SELECT owed.book_id, owed.household_id, charge.charge_id, charge.month, charge.due_on,
               least(charge.amount_fen, owed.fen - charge.newer_fen) AS left_fen
        FROM owed
        JOIN book USING (book_id)
        JOIN LATERAL (
            SELECT rent_charge.*,
                   (sum(amount_fen) OVER (ORDER BY due_on DESC, month DESC, rent_charge.charge_id DESC) - amount_fen)::bigint
                       AS newer_fen
            FROM rent_charge
            WHERE rent_charge.household_id = owed.household_id AND rent_charge.estate_id = book.estate_id
              AND rent_charge.amount_fen > 0
              AND (rent_charge.charged_at AT TIME ZONE 'Asia/Shanghai')::date <= as_of
        ) AS charge ON charge.newer_fen < owed.fen
    )
    SELECT * FROM explained
    UNION ALL
    SELECT owed.book_id, owed.household_id, NULL, NULL, NULL, owed.fen - coalesce(known.fen, 0)
    FROM owed LEFT JOIN (
        SELECT explained.book_id, explained.household_id, sum(explained.left_fen)::bigint AS fen
        FROM explained GROUP BY explained.book_id, explained.household_id
    ) AS known ON known.book_id = owed.book_id AND known.household_id = owed.household_id
    WHERE owed.fen <> coalesce(known.fen, 0)
$$;
