-- Charges of every kind of line, and corrections, which may be below zero; payments by due.

-- Of a waiver or write-off, which is a correction too: what two people agreed on, carried out once.
ALTER TABLE rent_charge ADD COLUMN proposal_id uuid UNIQUE REFERENCES approval_proposal;
ALTER TABLE rent_charge DROP CONSTRAINT rent_charge_amount_fen_check;
ALTER TABLE rent_charge ADD CONSTRAINT rent_charge_only_corrections_below_zero
    CHECK (amount_fen >= 0 OR revision > 0);

-- A charge is of a tenancy, its household, its unit and its estate: looked up once for each statement. Foreign
-- keys would look up every row on its own, which for a monthly run is a quarter of the server's time; and
-- they would not say that the four belong together. Neither tenancies nor charges are ever deleted.
ALTER TABLE rent_charge
    DROP CONSTRAINT rent_charge_estate_id_fkey,
    DROP CONSTRAINT rent_charge_household_id_fkey,
    DROP CONSTRAINT rent_charge_tenancy_id_fkey,
    DROP CONSTRAINT rent_charge_unit_id_fkey;
ALTER TABLE rent_charge_line DROP CONSTRAINT rent_charge_line_charge_id_fkey;

CREATE FUNCTION rent_charge_is_of_a_tenancy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added WHERE (
            SELECT tenancy.household_id = added.household_id AND tenancy.unit_id = added.unit_id
               AND (SELECT estate_id FROM public.unit WHERE unit_id = tenancy.unit_id) = added.estate_id
            FROM public.tenancy WHERE tenancy_id = added.tenancy_id
        ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a charge is of a tenancy, with its household, unit and estate'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'rent_charge_is_of_a_tenancy',
                  TABLE = 'rent_charge';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rent_charge_is_of_a_tenancy AFTER INSERT ON rent_charge
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rent_charge_is_of_a_tenancy();
ALTER TABLE rent_charge ENABLE ALWAYS TRIGGER rent_charge_is_of_a_tenancy;

CREATE FUNCTION rent_charge_line_is_of_a_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT charge_id FROM added) AS mine
        WHERE (SELECT true FROM public.rent_charge WHERE charge_id = mine.charge_id) IS NULL
    ) THEN
        RAISE EXCEPTION 'a line is of a charge'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'rent_charge_line_is_of_a_charge',
                  TABLE = 'rent_charge_line';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rent_charge_line_is_of_a_charge AFTER INSERT ON rent_charge_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rent_charge_line_is_of_a_charge();
ALTER TABLE rent_charge_line ENABLE ALWAYS TRIGGER rent_charge_line_is_of_a_charge;

-- Whatever is corrected: a month's charges together never fall below zero.
CREATE FUNCTION rent_charge_month_not_below_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE amount_fen < 0) AND EXISTS (
        SELECT FROM added JOIN public.rent_charge AS other USING (tenancy_id, month)
        WHERE added.amount_fen < 0
        GROUP BY added.charge_id HAVING sum(other.amount_fen) < 0
    ) THEN
        RAISE EXCEPTION 'the charges of a month would fall below zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'rent_charge_month_not_below_zero',
                  TABLE = 'rent_charge';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rent_charge_month_not_below_zero AFTER INSERT ON rent_charge
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rent_charge_month_not_below_zero();
ALTER TABLE rent_charge ENABLE ALWAYS TRIGGER rent_charge_month_not_below_zero;

ALTER TABLE rent_charge_line
    ADD COLUMN corrects boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT rent_charge_line_kind_check,
    DROP CONSTRAINT rent_charge_line_sign,
    DROP CONSTRAINT rent_charge_line_carried_fen_check;
ALTER TABLE rent_charge_line
    ADD CONSTRAINT rent_charge_line_kind_check CHECK (
        kind IN ('rent', 'relief', 'subsidy', 'subsidy_carried', 'late_fee', 'property_fee', 'water',
                 'electricity', 'gas', 'deposit', 'damage')
    ),
    ADD CONSTRAINT rent_charge_line_sign CHECK (
        CASE WHEN corrects THEN amount_fen <> 0 OR carried_fen <> 0
             WHEN kind IN ('relief', 'subsidy', 'subsidy_carried')
                 THEN amount_fen <= 0 AND carried_fen >= 0 AND (amount_fen < 0 OR carried_fen > 0)
             ELSE amount_fen > 0 AND carried_fen = 0 END
    );

-- A payment is kept by what it pays for: rent, property fee, utilities, each owed to somebody else. It may
-- pay the same charge again after money went back, so a row is known by the charge and its number there.
-- What was paid before paid the rent first, and then the property fee.
CREATE TEMP TABLE paid_by_due ON COMMIT DROP AS
    WITH paid AS (
        SELECT payment_allocation.*, rent.fen AS rent_fen,
               sum(payment_allocation.amount_fen) OVER (PARTITION BY charge_id ORDER BY allocation_no) AS until_fen
        FROM payment_allocation JOIN (
            SELECT charge_id, coalesce(sum(amount_fen) FILTER (WHERE kind <> 'property_fee'), 0) AS fen
            FROM rent_charge_line GROUP BY charge_id
        ) AS rent USING (charge_id)
    ), by_due AS (
        SELECT paid.*, 'rent' AS due,
               least(until_fen, rent_fen) - least(until_fen - amount_fen, rent_fen) AS fen FROM paid
        UNION ALL
        SELECT paid.*, 'property_fee',
               greatest(until_fen, rent_fen) - greatest(until_fen - amount_fen, rent_fen) FROM paid
    )
    SELECT payment_id, charge_id,
           row_number() OVER (PARTITION BY charge_id ORDER BY allocation_no, due DESC)::smallint AS allocation_no,
           fen::bigint AS amount_fen, from_prepaid, allocated_at, due
    FROM by_due WHERE fen > 0;
ALTER TABLE payment_allocation DISABLE TRIGGER payment_allocation_refuse_change;
DELETE FROM payment_allocation;
ALTER TABLE payment_allocation ENABLE ALWAYS TRIGGER payment_allocation_refuse_change;
ALTER TABLE payment_allocation
    ADD COLUMN due text NOT NULL,
    ADD CONSTRAINT payment_allocation_due_check
        CHECK (due IN ('rent', 'late_fee', 'property_fee', 'utilities', 'deposit', 'damage')),
    DROP CONSTRAINT payment_allocation_pkey,
    DROP CONSTRAINT payment_allocation_charge_id_allocation_no_key,
    ADD PRIMARY KEY (charge_id, allocation_no);
CREATE INDEX payment_allocation_payment_id_idx ON payment_allocation (payment_id);
INSERT INTO payment_allocation
    (payment_id, charge_id, allocation_no, amount_fen, from_prepaid, allocated_at, due)
    SELECT * FROM paid_by_due;
