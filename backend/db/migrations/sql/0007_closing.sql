-- Closed months. The lock itself is a row of period_change; here stands what was given out for it.

CREATE TABLE month_close (
    close_id uuid PRIMARY KEY,
    book_id text NOT NULL REFERENCES book,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    -- Counts the closes of a month: it may be reopened and closed again.
    revision integer NOT NULL CHECK (revision >= 1),
    -- The lock that it stands on.
    change_no integer NOT NULL,
    head_seq bigint NOT NULL,
    head_hash bytea NOT NULL CHECK (length(head_hash) = 32),
    -- The head of the month before; NULL for the first closed month of a book.
    previous_seq bigint,
    previous_hash bytea,
    -- SHA-256 of the pack's manifest.
    manifest_sha256 bytea NOT NULL CHECK (length(manifest_sha256) = 32),
    -- What was still open, and why the month was closed all the same.
    despite text[] NOT NULL,
    reason text NOT NULL,
    closed_by uuid NOT NULL REFERENCES principal,
    closed_at timestamptz NOT NULL,
    UNIQUE (book_id, month, revision),
    UNIQUE (book_id, change_no),
    FOREIGN KEY (book_id, change_no) REFERENCES period_change,
    CONSTRAINT month_close_despite_has_reason CHECK (cardinality(despite) = 0 OR btrim(reason) <> ''),
    CONSTRAINT month_close_previous_is_whole CHECK ((previous_seq IS NULL) = (previous_hash IS NULL))
);
