-- The take-over of an estate's old books, what comes back of arrears that were given up, and the guard that
-- nothing leaves above what stands in its account.

-- The old system's figures as they were sent; what is agreed on is known by the file's own hash.
CREATE TABLE take_over_file (
    file_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    -- The first month that is charged here; the figures are those of the evening before.
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    sha256 bytea NOT NULL CHECK (sha256 = sha256(body)),
    body bytea NOT NULL,
    principal_id uuid NOT NULL REFERENCES principal,
    kept_at timestamptz NOT NULL,
    UNIQUE (estate_id, month, sha256)
);

-- One for each estate, ever. Its opening entries belong to the transaction that writes this row.
CREATE TABLE take_over (
    estate_id text PRIMARY KEY REFERENCES estate,
    file_id uuid NOT NULL UNIQUE REFERENCES take_over_file,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    proposal_id uuid NOT NULL UNIQUE REFERENCES approval_use,
    posted_at timestamptz NOT NULL,
    posted_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE FUNCTION take_over_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.posted_xid := pg_current_xact_id();
    IF NOT EXISTS (
        SELECT FROM public.approval_use AS used JOIN public.approval_proposal AS asked USING (proposal_id)
        JOIN public.take_over_file AS file ON file.file_id = NEW.file_id
        WHERE used.proposal_id = NEW.proposal_id AND used.kind = 'take_over'
          AND asked.estate_id = NEW.estate_id AND file.estate_id = NEW.estate_id AND file.month = NEW.month
          AND asked.payload ->> 'sha256' = encode(file.sha256, 'hex')
          AND asked.payload ->> 'month' = to_char(NEW.month, 'YYYY-MM')
    ) THEN
        RAISE EXCEPTION 'nobody approved the take-over of % from this file', NEW.estate_id
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'take_over_is_approved', TABLE = 'take_over';
    ELSIF EXISTS (SELECT FROM public.rent_charge WHERE estate_id = NEW.estate_id)
       OR EXISTS (SELECT FROM public.payment WHERE estate_id = NEW.estate_id) THEN
        RAISE EXCEPTION 'estate % has charges or payments already', NEW.estate_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'take_over_comes_first', TABLE = 'take_over';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER take_over_is_sound BEFORE INSERT ON take_over
    FOR EACH ROW EXECUTE FUNCTION take_over_is_sound();
ALTER TABLE take_over ENABLE ALWAYS TRIGGER take_over_is_sound;

CREATE FUNCTION opening_entry_is_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.take_over JOIN public.book USING (estate_id)
        WHERE book.book_id = NEW.book_id AND take_over.posted_xid = pg_current_xact_id()
          AND take_over.month = NEW.effective_on
    ) THEN
        RAISE EXCEPTION 'entry %: % % is of no take-over that was approved',
                NEW.entry_id, NEW.event_kind, NEW.event_key
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'journal_entry_is_approved',
                  TABLE = 'journal_entry';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER opening_entry_is_approved AFTER INSERT ON journal_entry FOR EACH ROW
    WHEN (NEW.event_kind IN ('opening_arrears', 'opening_balance'))
    EXECUTE FUNCTION opening_entry_is_approved();
ALTER TABLE journal_entry ENABLE ALWAYS TRIGGER opening_entry_is_approved;

-- The old system charged the months before: no run charges them again.
CREATE FUNCTION rent_charge_not_before_take_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.take_over AS taken
        WHERE EXISTS (SELECT FROM added WHERE added.estate_id = taken.estate_id AND added.revision = 0
                      AND added.month < taken.month)
    ) THEN
        RAISE EXCEPTION 'the old system charged this month, before the take-over'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'rent_charge_not_before_take_over',
                  TABLE = 'rent_charge';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rent_charge_not_before_take_over AFTER INSERT ON rent_charge
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rent_charge_not_before_take_over();
ALTER TABLE rent_charge ENABLE ALWAYS TRIGGER rent_charge_not_before_take_over;

-- What came back of arrears that were given up: the charge that put it back into the books, for a payment.
CREATE TABLE recovery (
    charge_id uuid PRIMARY KEY REFERENCES rent_charge,
    -- Of the write-off; it may come back in parts.
    proposal_id uuid NOT NULL REFERENCES rent_charge (proposal_id),
    recovered_at timestamptz NOT NULL
);
CREATE INDEX recovery_proposal_id_idx ON recovery (proposal_id);

CREATE FUNCTION recovery_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.rent_charge AS off
        JOIN public.approval_use AS used ON used.proposal_id = off.proposal_id AND used.kind = 'write_off'
        JOIN public.rent_charge AS back ON back.charge_id = NEW.charge_id
             AND back.tenancy_id = off.tenancy_id AND back.month = off.month AND back.amount_fen > 0
        WHERE off.proposal_id = NEW.proposal_id
    ) OR (
        SELECT sum(charge.amount_fen) FROM public.rent_charge AS charge
        WHERE charge.proposal_id = NEW.proposal_id
           OR charge.charge_id IN (SELECT charge_id FROM public.recovery WHERE proposal_id = NEW.proposal_id)
    ) > 0 THEN
        RAISE EXCEPTION 'more would come back than was written off'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'recovery_fits', TABLE = 'recovery';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER recovery_fits AFTER INSERT ON recovery FOR EACH ROW EXECUTE FUNCTION recovery_fits();
ALTER TABLE recovery ENABLE ALWAYS TRIGGER recovery_fits;

-- Nothing leaves above what stands in its account: what is handed on to the treasury and to companies above
-- what was collected for them, what goes back to a household above what is that household's, cash that is not
-- there. Looked at under a lock, so that two at once see each other. The bank's own account is not looked at:
-- our books learn of what arrived there later than the bank does, and the bank refuses by itself.
CREATE FUNCTION journal_entry_within_what_stands() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line record;
    stands bigint;
BEGIN
    IF NEW.reverses_entry_id IS NOT NULL THEN
        RETURN NULL;
    END IF;
    FOR line IN
        SELECT posting.account_code, posting.household_id, account.role, account.kind = 'asset' AS is_asset
        FROM public.posting JOIN public.account USING (account_code)
        WHERE posting.entry_id = NEW.entry_id
          AND (posting.debit_fen > 0 AND account.role IN (
                   'rent_for_treasury_collected', 'late_fee_collected', 'damage_collected',
                   'interest_for_treasury', 'property_fee_collected', 'utilities_collected',
                   'suspense_received', 'prepaid_rent', 'deposit', 'deposit_held')
               OR posting.credit_fen > 0 AND account.role = 'cash')
        GROUP BY posting.account_code, posting.household_id, account.role, account.kind
        ORDER BY posting.account_code, posting.household_id
    LOOP
        IF line.role IN ('prepaid_rent', 'deposit', 'deposit_held') THEN
            -- The lock of a household's account, which everybody takes who pays or charges there.
            PERFORM pg_advisory_xact_lock(7205302, hashtext(line.household_id::text));
            SELECT coalesce(sum(posting.credit_fen - posting.debit_fen), 0) INTO stands
            FROM public.posting JOIN public.journal_entry AS entry USING (entry_id)
            WHERE posting.household_id = line.household_id AND posting.account_code = line.account_code
              AND entry.book_id = NEW.book_id;
        ELSIF NEW.event_kind IN ('refund', 'refund_transfer') THEN
            -- What a refund opens again was bounded by its own payment, under the household's lock.
            CONTINUE;
        ELSE
            PERFORM pg_advisory_xact_lock(7205312, hashtext(NEW.book_id));
            SELECT coalesce(sum(credit_fen - debit_fen), 0) INTO stands
            FROM public.account_day
            WHERE book_id = NEW.book_id AND account_code = line.account_code;
            IF line.is_asset THEN
                stands := -stands;
            END IF;
        END IF;
        IF stands < 0 THEN
            RAISE EXCEPTION 'entry % takes % fen more from account % than stands there',
                    NEW.entry_id, -stands, line.account_code
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_within_what_stands',
                      TABLE = 'journal_entry', DETAIL = line.account_code || ' ' || -stands;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_entry_within_what_stands AFTER INSERT ON journal_entry FOR EACH ROW
    WHEN (NEW.event_kind IN ('remittance', 'paid_on', 'refund', 'refund_transfer', 'deposit_returned',
                             'deposit_damage', 'prepaid_paid_out', 'suspense_returned', 'suspense_was_payout',
                             'cash_banked'))
    EXECUTE FUNCTION journal_entry_within_what_stands();
ALTER TABLE journal_entry ENABLE ALWAYS TRIGGER journal_entry_within_what_stands;
