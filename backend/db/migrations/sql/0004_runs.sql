-- Monthly runs that two people agreed on, and how far each has come.

CREATE TABLE rent_run (
    -- The proposal that was approved.
    run_id uuid PRIMARY KEY,
    -- NULL: all estates.
    estate_id text REFERENCES estate,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    principal_id uuid NOT NULL,
    planned integer NOT NULL CHECK (planned >= 0),
    started_at timestamptz NOT NULL,
    -- Where the next batch begins.
    next_estate_id text,
    after_tenancy_id uuid,
    charged integer NOT NULL DEFAULT 0 CHECK (charged >= 0),
    nothing_due integer NOT NULL DEFAULT 0,
    unpriced integer NOT NULL DEFAULT 0,
    amount_fen bigint NOT NULL DEFAULT 0,
    prepaid_used_fen bigint NOT NULL DEFAULT 0,
    finished_at timestamptz
);
CREATE INDEX rent_run_unfinished_idx ON rent_run (started_at) WHERE finished_at IS NULL;
