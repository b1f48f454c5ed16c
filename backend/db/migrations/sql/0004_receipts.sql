-- Receipt documents: the address under which anybody can check one, and the fiscal e-receipt's numbers.

CREATE TABLE receipt_link (
    payment_id uuid PRIMARY KEY REFERENCES payment,
    token text NOT NULL UNIQUE CHECK (length(token) >= 22),
    created_at timestamptz NOT NULL
);

-- Payments arrive in the order of their moments.
CREATE INDEX payment_recorded_at_idx ON payment USING brin (recorded_at) WITH (autosummarize = on);

CREATE SEQUENCE fiscal_serial;

-- 财政电子票据. One number for each; a wrong one is cancelled by a red one (冲红), never changed.
CREATE TABLE fiscal_receipt (
    number text PRIMARY KEY CHECK (number <> ''),
    payment_id uuid NOT NULL REFERENCES payment,
    -- Below zero: the red one, of exactly what it cancels.
    amount_fen bigint NOT NULL CHECK (amount_fen <> 0),
    cancels text UNIQUE REFERENCES fiscal_receipt,
    reason_zh text,
    issued_at timestamptz NOT NULL,
    CONSTRAINT fiscal_receipt_red_has_reason CHECK (
        (amount_fen < 0) = (cancels IS NOT NULL) AND (cancels IS NULL) = (reason_zh IS NULL)
    )
);
CREATE INDEX fiscal_receipt_payment_id_idx ON fiscal_receipt (payment_id);

CREATE FUNCTION fiscal_receipt_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.cancels IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.fiscal_receipt AS blue
        WHERE blue.number = NEW.cancels AND blue.payment_id = NEW.payment_id
          AND blue.amount_fen = -NEW.amount_fen
    ) THEN
        RAISE EXCEPTION 'a red receipt cancels the whole of one of the same payment'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'fiscal_receipt_fits', TABLE = 'fiscal_receipt';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fiscal_receipt_fits BEFORE INSERT ON fiscal_receipt
    FOR EACH ROW EXECUTE FUNCTION fiscal_receipt_fits();
ALTER TABLE fiscal_receipt ENABLE ALWAYS TRIGGER fiscal_receipt_fits;
