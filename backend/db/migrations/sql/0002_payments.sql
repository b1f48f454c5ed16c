-- The conversation with the payment provider. The books live elsewhere; this is who asked for what, and what
-- the provider said.

CREATE TABLE checkout (
    checkout_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    principal_id uuid NOT NULL REFERENCES principal,
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    method text NOT NULL CHECK (method IN ('wechat_pay', 'alipay', 'card')),
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    return_url text NOT NULL,
    -- Committed before the provider hears of it, and sent again on every retry.
    idempotency_key text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('asked', 'open', 'processing', 'paid', 'failed', 'expired')),
    provider_ref text,
    url text,
    reason text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- When the sweeper asks the provider if nothing was heard; NULL once there is nothing left to ask.
    next_check_at timestamptz,
    checks integer NOT NULL,
    payment_id uuid REFERENCES payment,
    UNIQUE (provider, provider_ref)
);
CREATE INDEX checkout_next_check_at_idx ON checkout (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX checkout_household_id_idx ON checkout (household_id, created_at);

CREATE TABLE provider_notice (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    event_id text NOT NULL CHECK (event_id <> ''),
    -- As it came, byte for byte, so that it can be read again by later software.
    body bytea NOT NULL,
    received_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'settled', 'ignored', 'parked')),
    reason text,
    attempts smallint NOT NULL,
    next_try_at timestamptz NOT NULL,
    finished_at timestamptz,
    -- The payment it told of.
    payment_id uuid REFERENCES payment,
    UNIQUE (provider, event_id),
    CONSTRAINT provider_notice_parked_has_reason CHECK (state <> 'parked' OR reason IS NOT NULL)
);
CREATE INDEX provider_notice_waiting_idx ON provider_notice (next_try_at, notice_id) WHERE state = 'waiting';
CREATE INDEX provider_notice_parked_idx ON provider_notice (notice_id) WHERE state = 'parked';
