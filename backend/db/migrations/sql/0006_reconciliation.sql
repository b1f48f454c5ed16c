-- What the other side says of our money (bills, flows, statements), and how each line of it stands to our books.
-- Lines are only ever added. Where a line stands is one row, so it can never be in two places at once.

-- A money account as its statements see it: a merchant's account at a channel, or an account at a bank.
CREATE TABLE statement_account (
    account_id text PRIMARY KEY CHECK (account_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    source text NOT NULL CHECK (source IN ('stripe', 'wechat', 'alipay', 'bank')),
    -- The number by which its files name it.
    account_ref text NOT NULL CHECK (account_ref <> ''),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    -- NULL: one account for the payments of all books.
    book_id text REFERENCES book,
    account_code text NOT NULL REFERENCES account,
    settings jsonb NOT NULL,
    -- Statements are expected from this day on.
    since_on date NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (source, account_ref)
);

CREATE TABLE statement_file (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL REFERENCES statement_account,
    format text NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    -- The days it is complete for.
    from_on date NOT NULL,
    to_on date NOT NULL CHECK (to_on > from_on),
    line_count integer NOT NULL CHECK (line_count >= 0),
    new_line_count integer NOT NULL CHECK (new_line_count BETWEEN 0 AND line_count),
    opening_fen bigint,
    closing_fen bigint,
    imported_at timestamptz NOT NULL,
    principal_id uuid,
    -- The same file twice is one file.
    UNIQUE (account_id, format, sha256),
    CONSTRAINT statement_file_has_both_balances CHECK ((opening_fen IS NULL) = (closing_fen IS NULL))
);
CREATE INDEX statement_file_account_id_idx ON statement_file (account_id, from_on);

CREATE TABLE statement_line (
    line_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id bigint NOT NULL,
    account_id text NOT NULL,
    -- Which of the account's statements: 'bill' (by orders), 'flow' (by movements), 'fee', 'payout', 'bank'.
    side text NOT NULL,
    kind text NOT NULL,
    external_id text NOT NULL,
    line_no integer NOT NULL,
    -- Money in is positive, money out negative; a fee of ours is positive.
    amount_fen bigint NOT NULL,
    fee_fen bigint NOT NULL,
    at timestamptz,
    value_on date NOT NULL,
    method text NOT NULL,
    pay_ref text NOT NULL,
    our_ref text NOT NULL,
    payout_ref text NOT NULL,
    book_ref text NOT NULL,
    payer text NOT NULL,
    note text NOT NULL,
    balance_fen bigint,
    -- A part of another line that a person split.
    split_of bigint REFERENCES statement_line,
    UNIQUE (account_id, side, external_id)
);
CREATE INDEX statement_line_value_on_idx ON statement_line (account_id, value_on);
CREATE INDEX statement_line_payout_ref_idx ON statement_line (account_id, payout_ref) WHERE payout_ref <> '';
CREATE INDEX statement_line_split_of_idx ON statement_line (split_of) WHERE split_of IS NOT NULL;

-- A line belongs to a file of its account, and the parts of a split line are the line.
CREATE FUNCTION statement_line_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT file_id, account_id FROM added) AS given
        WHERE NOT EXISTS (SELECT FROM public.statement_file AS known
                          WHERE known.file_id = given.file_id AND known.account_id = given.account_id)
    ) THEN
        RAISE EXCEPTION 'a line without a file of its account'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'statement_line_file_is_known',
                  TABLE = 'statement_line';
    END IF;
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT split_of FROM added WHERE split_of IS NOT NULL) AS given
        JOIN public.statement_line AS whole ON whole.line_id = given.split_of
        JOIN public.statement_line AS part ON part.split_of = given.split_of
        GROUP BY whole.line_id
        HAVING sum(part.amount_fen) <> whole.amount_fen OR sum(part.fee_fen) <> whole.fee_fen
            OR bool_or(part.account_id <> whole.account_id)
    ) THEN
        RAISE EXCEPTION 'the parts of a split line are not the line'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_line_parts_add_up',
                  TABLE = 'statement_line';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER statement_line_is_whole AFTER INSERT ON statement_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION statement_line_is_whole();
ALTER TABLE statement_line ENABLE ALWAYS TRIGGER statement_line_is_whole;

-- What a line's payout is, where that was told only after the line itself.
CREATE TABLE payout_part (
    account_id text NOT NULL,
    external_id text NOT NULL,
    payout_ref text NOT NULL CHECK (payout_ref <> ''),
    PRIMARY KEY (account_id, external_id)
);
CREATE INDEX payout_part_payout_ref_idx ON payout_part (account_id, payout_ref);

-- What the other side says the account held at the end of a day: the books are asserted against it.
CREATE TABLE statement_balance (
    account_id text NOT NULL REFERENCES statement_account,
    book_id text NOT NULL REFERENCES book,
    on_day date NOT NULL,
    amount_fen bigint NOT NULL,
    file_id bigint NOT NULL REFERENCES statement_file,
    PRIMARY KEY (account_id, book_id, on_day)
);
CREATE INDEX statement_balance_book_id_idx ON statement_balance (book_id, on_day);

CREATE TABLE reconciliation_match (
    match_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL,
    -- What brought them together: the rule, the fields that agreed, and the reference they agree on.
    key text NOT NULL,
    rule text NOT NULL,
    fields text[] NOT NULL,
    made_at timestamptz NOT NULL,
    -- NULL: the software by itself.
    principal_id uuid,
    reason text NOT NULL,
    undone_at timestamptz,
    undone_by uuid,
    undone_reason text,
    CONSTRAINT reconciliation_match_by_person_has_reason CHECK (principal_id IS NULL OR reason <> ''),
    CONSTRAINT reconciliation_match_undone_has_reason CHECK ((undone_at IS NULL) = (undone_reason IS NULL))
);
CREATE INDEX reconciliation_match_key_idx ON reconciliation_match (account_id, key) WHERE undone_at IS NULL;

CREATE TABLE reconciliation_case (
    case_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL REFERENCES statement_account,
    book_id text NOT NULL REFERENCES book,
    key text NOT NULL,
    kind text NOT NULL CHECK (kind IN (
        'missing', 'extra', 'amount', 'doubled', 'shifted', 'fee', 'ambiguous', 'other'
    )),
    -- Which statement does not fit; 'book' when it is ours.
    side text NOT NULL,
    on_day date NOT NULL,
    -- The statement's side less the books'.
    difference_fen bigint NOT NULL,
    suggestion text NOT NULL,
    -- A person; NULL is the finance desk of the book.
    owner_id uuid REFERENCES principal,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    -- NULL with closed_at: it resolved itself.
    closed_by uuid REFERENCES principal,
    close_reason text,
    CONSTRAINT reconciliation_case_closed_has_reason CHECK ((closed_at IS NULL) = (close_reason IS NULL))
);
CREATE UNIQUE INDEX reconciliation_case_open_idx ON reconciliation_case (account_id, key)
    WHERE closed_at IS NULL;
CREATE INDEX reconciliation_case_book_id_idx ON reconciliation_case (book_id, on_day);

-- Where a line stands: matched to one entry, or in a case, or split into parts. None yet: it waits.
CREATE TABLE line_standing (
    line_id bigint PRIMARY KEY REFERENCES statement_line,
    match_id bigint REFERENCES reconciliation_match,
    entry_id bigint REFERENCES journal_entry,
    case_id bigint REFERENCES reconciliation_case,
    split_at timestamptz,
    CONSTRAINT line_standing_is_one CHECK (num_nonnulls(match_id, case_id, split_at) = 1),
    CONSTRAINT line_standing_match_has_entry CHECK ((match_id IS NULL) = (entry_id IS NULL))
);
CREATE INDEX line_standing_match_id_idx ON line_standing (match_id) WHERE match_id IS NOT NULL;
CREATE INDEX line_standing_case_id_idx ON line_standing (case_id) WHERE case_id IS NOT NULL;

-- Where an entry of ours stands to the statements of one account.
CREATE TABLE entry_standing (
    account_id text NOT NULL,
    entry_id bigint NOT NULL REFERENCES journal_entry,
    match_id bigint REFERENCES reconciliation_match,
    case_id bigint REFERENCES reconciliation_case,
    PRIMARY KEY (account_id, entry_id),
    CONSTRAINT entry_standing_is_one CHECK (num_nonnulls(match_id, case_id) = 1)
);
CREATE INDEX entry_standing_entry_id_idx ON entry_standing (entry_id);
CREATE INDEX entry_standing_match_id_idx ON entry_standing (match_id) WHERE match_id IS NOT NULL;
CREATE INDEX entry_standing_case_id_idx ON entry_standing (case_id) WHERE case_id IS NOT NULL;

-- The day-end check's word on one account and day of a book.
CREATE TABLE reconciliation_day (
    account_id text NOT NULL REFERENCES statement_account,
    book_id text NOT NULL REFERENCES book,
    on_day date NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'no_statement', 'open', 'clean')),
    line_count integer NOT NULL,
    line_fen bigint NOT NULL,
    entry_count integer NOT NULL,
    entry_fen bigint NOT NULL,
    matched_count integer NOT NULL,
    waiting_count integer NOT NULL,
    case_count integer NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, book_id, on_day)
);
CREATE INDEX reconciliation_day_book_id_idx ON reconciliation_day (book_id, on_day);
