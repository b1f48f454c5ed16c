-- Several providers, other people who pay, and money that goes back.

-- A household lets somebody else pay for it. Only the hash of the link's word is kept.
CREATE TABLE pay_link (
    link_id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    principal_id uuid NOT NULL REFERENCES principal,
    -- NULL: whatever is owed when it is opened.
    amount_fen bigint CHECK (amount_fen > 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at timestamptz
);
CREATE INDEX pay_link_household_id_idx ON pay_link (household_id, created_at);

-- A tenant agreed that rent is taken from their card each month, after a notice in advance.
CREATE TABLE autopay (
    autopay_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    principal_id uuid NOT NULL REFERENCES principal,
    -- A reminder charges nothing: it brings a link that pays with one tap.
    kind text NOT NULL CHECK (kind IN ('card', 'reminder')),
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    -- The wording that was agreed to, and the most that may be taken in a month.
    consent_version smallint NOT NULL CHECK (consent_version >= 1),
    limit_fen bigint NOT NULL CHECK (limit_fen > 0),
    consented_at timestamptz NOT NULL,
    -- Known once the first payment with the card is through; the provider's word, never a card number.
    card_ref text CHECK (card_ref <> ''),
    ended_at timestamptz,
    ended_why text,
    CONSTRAINT autopay_ends_for_a_reason CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE UNIQUE INDEX autopay_one_at_a_time_idx ON autopay (household_id) WHERE ended_at IS NULL;

ALTER TABLE checkout
    DROP CONSTRAINT checkout_method_check,
    ADD CONSTRAINT checkout_method_check
        CHECK (method IN ('wechat_pay', 'alipay', 'card', 'cash', 'bank_transfer')),
    ADD COLUMN shown text NOT NULL DEFAULT 'page' CHECK (shown IN ('page', 'code', 'counter')),
    ADD COLUMN charge_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN link_id uuid REFERENCES pay_link,
    ADD COLUMN autopay_id uuid REFERENCES autopay,
    ADD COLUMN keep_card boolean NOT NULL DEFAULT false,
    -- Paid while the estate took no payments online: accepted, dated, and listed with the reason.
    ADD COLUMN closed_reason text CHECK (closed_reason <> '');
CREATE INDEX checkout_closed_reason_idx ON checkout (created_at) WHERE closed_reason IS NOT NULL;

-- One charge of a kept card a month: told of first, taken on its day.
CREATE TABLE autopay_run (
    autopay_id uuid NOT NULL REFERENCES autopay,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    told_at timestamptz NOT NULL,
    take_on date NOT NULL,
    checkout_id uuid UNIQUE REFERENCES checkout,
    skipped_why text,
    PRIMARY KEY (autopay_id, month)
);

-- What a cashier wrote down: money that came or went at the counter or on the bank account.
CREATE TABLE counter_slip (
    provider text NOT NULL CHECK (provider IN ('cash', 'bank')),
    -- The receipt book's or the bank's own number.
    slip_ref text NOT NULL CHECK (slip_ref <> ''),
    kind text NOT NULL CHECK (kind IN ('payment', 'refund')),
    -- The checkout or the refund that it belongs to.
    subject_id uuid NOT NULL UNIQUE,
    estate_id text NOT NULL REFERENCES estate,
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    at timestamptz NOT NULL,
    principal_id uuid NOT NULL REFERENCES principal,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (provider, slip_ref)
);
CREATE INDEX counter_slip_at_idx ON counter_slip (provider, at);

-- A person put a parked notice aside.
ALTER TABLE provider_notice ADD COLUMN principal_id uuid REFERENCES principal;

-- Money of a payment that went back to the payer, by whatever way; negative when it came to us once more
-- because the refund failed. What was paid for charges is taken back by further allocations, below zero.
CREATE TABLE payment_return (
    entry_id bigint PRIMARY KEY REFERENCES journal_entry,
    payment_id uuid NOT NULL REFERENCES payment,
    amount_fen bigint NOT NULL CHECK (amount_fen <> 0),
    -- What it took back of what was paid, as [charge, due, fen].
    pieces jsonb NOT NULL,
    returned_at timestamptz NOT NULL
);
CREATE INDEX payment_return_payment_id_idx ON payment_return (payment_id);

ALTER TABLE payment_allocation
    DROP CONSTRAINT payment_allocation_amount_fen_check,
    ADD CONSTRAINT payment_allocation_amount_fen_check CHECK (amount_fen <> 0);

CREATE OR REPLACE FUNCTION payment_allocation_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.payment_allocation AS paid JOIN public.rent_charge AS charge USING (charge_id)
        WHERE paid.charge_id IN (SELECT charge_id FROM added)
        GROUP BY charge.charge_id
        HAVING sum(paid.amount_fen) NOT BETWEEN 0 AND charge.amount_fen
            OR max(paid.allocation_no) <> count(*)
    ) OR EXISTS (
        SELECT FROM public.payment_allocation AS used JOIN public.payment USING (payment_id)
        WHERE used.payment_id IN (SELECT payment_id FROM added)
        GROUP BY payment.payment_id
        HAVING sum(used.amount_fen) NOT BETWEEN 0 AND payment.amount_fen - coalesce(
            (SELECT sum(amount_fen) FROM public.payment_return AS back
             WHERE back.payment_id = payment.payment_id), 0)
    ) OR EXISTS (
        SELECT FROM public.payment_allocation AS used
        WHERE (used.payment_id, used.charge_id) IN (SELECT payment_id, charge_id FROM added)
        GROUP BY used.payment_id, used.charge_id
        HAVING sum(used.amount_fen) < 0
    ) THEN
        RAISE EXCEPTION 'more is allocated than was charged or paid, or taken back than was allocated'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_fits',
                  TABLE = 'payment_allocation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION payment_return_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.payment_return AS back JOIN public.payment USING (payment_id)
        WHERE back.payment_id IN (SELECT payment_id FROM added)
        GROUP BY payment.payment_id
        HAVING sum(back.amount_fen) NOT BETWEEN 0 AND payment.amount_fen - coalesce(
            (SELECT sum(amount_fen) FROM public.payment_allocation AS used
             WHERE used.payment_id = payment.payment_id), 0)
    ) THEN
        RAISE EXCEPTION 'more goes back than is left of the payment'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_return_fits', TABLE = 'payment_return';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_return_fits AFTER INSERT ON payment_return
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payment_return_fits();
ALTER TABLE payment_return ENABLE ALWAYS TRIGGER payment_return_fits;
