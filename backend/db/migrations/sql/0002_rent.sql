-- What each household owes, what it paid, and what was paid for what. Charges and payments are never edited:
-- what is left of one is the difference of rows that were added.

-- Dated changes to a tenancy's own terms. A term lasts until its end or until a later one of its kind begins;
-- without any term of kind 'rent' the tenancy's signed rent holds.
CREATE TABLE rent_term (
    term_id uuid PRIMARY KEY,
    tenancy_id uuid NOT NULL REFERENCES tenancy,
    kind text NOT NULL CHECK (kind IN ('rent', 'relief', 'subsidy', 'property_fee')),
    from_on date NOT NULL,
    to_on date CHECK (to_on > from_on),
    monthly_fen bigint CHECK (monthly_fen >= 0),
    -- Relief as a share of the rent.
    share_permille integer CHECK (share_permille BETWEEN 1 AND 1000),
    label_zh text NOT NULL CHECK (label_zh <> ''),
    principal_id uuid,
    created_at timestamptz NOT NULL,
    UNIQUE (tenancy_id, kind, from_on),
    CONSTRAINT rent_term_is_amount_or_share CHECK (num_nonnulls(monthly_fen, share_permille) = 1),
    CONSTRAINT rent_term_share_is_relief CHECK (share_permille IS NULL OR kind = 'relief')
);

CREATE TABLE rent_charge (
    charge_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    tenancy_id uuid NOT NULL REFERENCES tenancy,
    unit_id uuid NOT NULL REFERENCES unit,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    -- 0 is the monthly run's; corrections are further charges of the month.
    revision smallint NOT NULL CHECK (revision >= 0),
    due_on date NOT NULL,
    amount_fen bigint NOT NULL CHECK (amount_fen >= 0),
    principal_id uuid,
    charged_at timestamptz NOT NULL,
    UNIQUE (tenancy_id, month, revision)
);
CREATE INDEX rent_charge_household_id_idx ON rent_charge (household_id, due_on);

CREATE TABLE rent_charge_line (
    charge_id uuid NOT NULL REFERENCES rent_charge,
    line_no smallint NOT NULL CHECK (line_no >= 1),
    kind text NOT NULL CHECK (kind IN ('rent', 'relief', 'subsidy', 'subsidy_carried', 'property_fee')),
    from_on date NOT NULL,
    to_on date NOT NULL CHECK (to_on > from_on),
    -- What it adds to the charge; relief and subsidy take away.
    amount_fen bigint NOT NULL,
    -- The part of a subsidy that found no rent to offset; next month's charge begins with it.
    carried_fen bigint NOT NULL CHECK (carried_fen >= 0),
    label_zh text NOT NULL CHECK (label_zh <> ''),
    PRIMARY KEY (charge_id, line_no),
    CONSTRAINT rent_charge_line_sign CHECK (
        CASE WHEN kind IN ('rent', 'property_fee') THEN amount_fen > 0 AND carried_fen = 0
             ELSE amount_fen <= 0 AND (amount_fen < 0 OR carried_fen > 0) END
    )
);

CREATE SEQUENCE receipt_serial;

CREATE TABLE payment (
    payment_id uuid PRIMARY KEY,
    receipt_number text NOT NULL UNIQUE CHECK (receipt_number <> ''),
    entry_id bigint NOT NULL UNIQUE REFERENCES journal_entry,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    -- The provider's own number of this payment: the same money never arrives twice.
    provider_ref text NOT NULL CHECK (provider_ref <> ''),
    channel text NOT NULL CHECK (channel ~ '^[a-z_]{1,40}$'),
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    paid_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (provider, provider_ref)
);
CREATE INDEX payment_household_id_idx ON payment (household_id, paid_at);

CREATE TABLE payment_allocation (
    payment_id uuid NOT NULL REFERENCES payment,
    charge_id uuid NOT NULL REFERENCES rent_charge,
    -- Counts what was paid towards the charge: two writers who both believe to be next collide here.
    allocation_no smallint NOT NULL CHECK (allocation_no >= 1),
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    -- Paid in advance, and used when the charge was raised.
    from_prepaid boolean NOT NULL,
    allocated_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, charge_id),
    UNIQUE (charge_id, allocation_no)
);

CREATE FUNCTION payment_allocation_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.payment_allocation AS paid JOIN public.rent_charge AS charge USING (charge_id)
        WHERE paid.charge_id IN (SELECT charge_id FROM added)
        GROUP BY charge.charge_id
        HAVING sum(paid.amount_fen) > charge.amount_fen OR max(paid.allocation_no) <> count(*)
    ) OR EXISTS (
        SELECT FROM public.payment_allocation AS used JOIN public.payment USING (payment_id)
        WHERE used.payment_id IN (SELECT payment_id FROM added)
        GROUP BY payment.payment_id
        HAVING sum(used.amount_fen) > payment.amount_fen
    ) THEN
        RAISE EXCEPTION 'more is allocated than was charged or paid'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_fits',
                  TABLE = 'payment_allocation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_allocation_fits AFTER INSERT ON payment_allocation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payment_allocation_fits();
ALTER TABLE payment_allocation ENABLE ALWAYS TRIGGER payment_allocation_fits;
