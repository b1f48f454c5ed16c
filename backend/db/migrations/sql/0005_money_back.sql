-- Refunds, disputes and deposits: money that goes back, by whose decision, and where it stands.

-- Money that is to go back, from the asking to the bank's or the channel's last word.
CREATE TABLE refund (
    refund_id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payment,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    -- Who gives it back: the payment's own provider, or `bank` by a transfer.
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    payment_ref text NOT NULL CHECK (payment_ref <> ''),
    state text NOT NULL CHECK (
        state IN ('proposed', 'declined', 'asked', 'pending', 'done', 'failed', 'refused')
    ),
    -- NULL only where the provider tells of a refund that nobody asked for here.
    proposal_id uuid UNIQUE REFERENCES approval_proposal,
    idempotency_key text NOT NULL UNIQUE,
    provider_ref text,
    detail text,
    -- Where a transfer goes.
    payee_zh text,
    payee_account text,
    entry_id bigint UNIQUE REFERENCES journal_entry,
    reversal_entry_id bigint UNIQUE REFERENCES journal_entry,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    next_check_at timestamptz,
    checks integer NOT NULL,
    UNIQUE (provider, provider_ref)
);
CREATE INDEX refund_payment_id_idx ON refund (payment_id);
CREATE INDEX refund_next_check_at_idx ON refund (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE dispute (
    dispute_id uuid PRIMARY KEY,
    provider text NOT NULL CHECK (provider ~ '^[a-z_]{1,40}$'),
    provider_ref text NOT NULL CHECK (provider_ref <> ''),
    payment_id uuid NOT NULL REFERENCES payment,
    estate_id text NOT NULL REFERENCES estate,
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'answered', 'won', 'lost')),
    answer_by timestamptz,
    evidence_zh text,
    evidence_id uuid,
    answered_by uuid REFERENCES principal,
    answered_at timestamptz,
    opened_entry_id bigint UNIQUE REFERENCES journal_entry,
    ended_entry_id bigint UNIQUE REFERENCES journal_entry,
    opened_at timestamptz NOT NULL,
    ended_at timestamptz,
    next_check_at timestamptz,
    checks integer NOT NULL,
    UNIQUE (provider, provider_ref)
);
CREATE INDEX dispute_payment_id_idx ON dispute (payment_id);
CREATE INDEX dispute_next_check_at_idx ON dispute (next_check_at) WHERE next_check_at IS NOT NULL;

-- Photographs and papers that a decision about money rests on.
CREATE TABLE money_evidence (
    evidence_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    name_zh text NOT NULL CHECK (name_zh <> ''),
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'application/pdf')),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    body bytea NOT NULL,
    principal_id uuid NOT NULL REFERENCES principal,
    kept_at timestamptz NOT NULL
);
ALTER TABLE dispute ADD FOREIGN KEY (evidence_id) REFERENCES money_evidence;

-- The settlement of a tenancy's deposit: held back at hand-over, less damage, the rest returned in its term.
CREATE TABLE deposit_settlement (
    tenancy_id uuid PRIMARY KEY REFERENCES tenancy,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    deposit_fen bigint NOT NULL CHECK (deposit_fen > 0),
    handed_over_on date NOT NULL,
    held_entry_id bigint NOT NULL UNIQUE REFERENCES journal_entry,
    -- The end of the settlement; its term counts working days from here.
    settled_on date,
    due_on date,
    released_entry_id bigint UNIQUE REFERENCES journal_entry,
    reminded_at timestamptz,
    opened_by uuid NOT NULL REFERENCES principal,
    opened_at timestamptz NOT NULL,
    CONSTRAINT deposit_settlement_has_its_term CHECK ((settled_on IS NULL) = (due_on IS NULL))
);
CREATE INDEX deposit_settlement_due_on_idx ON deposit_settlement (due_on);

CREATE TABLE deposit_deduction (
    deduction_id uuid PRIMARY KEY,
    tenancy_id uuid NOT NULL REFERENCES deposit_settlement,
    charge_id uuid NOT NULL UNIQUE REFERENCES rent_charge,
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    reason_zh text NOT NULL CHECK (reason_zh <> ''),
    evidence_id uuid NOT NULL REFERENCES money_evidence,
    proposal_id uuid NOT NULL UNIQUE REFERENCES approval_proposal,
    entry_id bigint NOT NULL UNIQUE REFERENCES journal_entry,
    deducted_at timestamptz NOT NULL
);
CREATE INDEX deposit_deduction_tenancy_id_idx ON deposit_deduction (tenancy_id);

CREATE TABLE deposit_return (
    tenancy_id uuid PRIMARY KEY REFERENCES deposit_settlement,
    amount_fen bigint NOT NULL CHECK (amount_fen > 0),
    proposal_id uuid NOT NULL UNIQUE REFERENCES approval_proposal,
    transfer_ref text NOT NULL UNIQUE CHECK (transfer_ref <> ''),
    payee_zh text NOT NULL,
    payee_account text NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES journal_entry,
    returned_at timestamptz NOT NULL
);
