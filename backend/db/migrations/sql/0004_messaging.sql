-- Messages to people. What was written is never changed; what became of it is.

CREATE TABLE message_address (
    person_id uuid NOT NULL REFERENCES person,
    channel text NOT NULL CHECK (channel IN ('sms', 'wechat')),
    address text NOT NULL CHECK (length(address) BETWEEN 3 AND 80),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (person_id, channel)
);

CREATE TABLE message (
    message_id uuid PRIMARY KEY,
    -- What it is about: the same reminder is written once, however often the job runs.
    idempotency_key text NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid REFERENCES household,
    person_id uuid NOT NULL REFERENCES person,
    channel text NOT NULL CHECK (channel IN ('sms', 'wechat')),
    address text NOT NULL CHECK (length(address) BETWEEN 3 AND 80),
    text_zh text NOT NULL CHECK (length(text_zh) BETWEEN 1 AND 500),
    -- waiting: to be handed over; sent: the messenger has it; delivered, failed, refused: the end.
    state text NOT NULL CHECK (state IN ('waiting', 'sent', 'delivered', 'failed', 'refused')),
    reason text,
    messenger text,
    messenger_ref text,
    attempts smallint NOT NULL CHECK (attempts >= 0),
    created_at timestamptz NOT NULL,
    -- When to hand it over, or to ask what became of it; NULL at the end.
    next_try_at timestamptz,
    sent_at timestamptz,
    finished_at timestamptz,
    UNIQUE (messenger, messenger_ref),
    CONSTRAINT message_end_is_whole CHECK (
        (state IN ('delivered', 'failed', 'refused')) = (finished_at IS NOT NULL)
        AND (next_try_at IS NULL) = (finished_at IS NOT NULL)
    ),
    CONSTRAINT message_sent_has_number CHECK (state NOT IN ('sent', 'delivered') OR messenger_ref IS NOT NULL),
    CONSTRAINT message_failure_has_reason CHECK (state NOT IN ('failed', 'refused') OR reason IS NOT NULL)
);
CREATE INDEX message_next_try_at_idx ON message (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX message_household_id_idx ON message (household_id, created_at);

-- An end is an end, and what was written stays as it was written.
CREATE FUNCTION message_keeps_its_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'message % has come to its end', OLD.message_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'message_keeps_its_end', TABLE = 'message';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER message_keeps_its_end BEFORE UPDATE ON message
    FOR EACH ROW EXECUTE FUNCTION message_keeps_its_end();
