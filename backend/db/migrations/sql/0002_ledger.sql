-- The books. PostgreSQL itself keeps every entry whole, balanced and unchanged: also for the owner of the
-- tables and for SQL typed by hand. An entry and all its postings are inserted by ONE statement; both are
-- checked at the end of that statement, so no moment exists in which half an entry can be seen.
--
-- Foreign keys would lock the few rows of `account` and `book` for every posting, which makes writers wait
-- for each other. The checks below read them instead; that is safe because their rows can never go away.

CREATE TABLE account (
    account_code text PRIMARY KEY CHECK (account_code ~ '^[0-9]{4}(\.[0-9]{2})*$'),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    name_en text NOT NULL CHECK (name_en <> ''),
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'net_asset', 'income', 'expense')),
    -- What the vouchers mean by it ('rent_receivable'); NULL for accounts that only people post to.
    role text UNIQUE
);

CREATE TABLE book (
    book_id text PRIMARY KEY,
    estate_id text UNIQUE REFERENCES estate,
    -- How the treasury classes what this book collects; decided by the authority, not by software.
    income_class text NOT NULL CHECK (income_class IN ('non_tax_revenue', 'government_fund')),
    opened_at timestamptz NOT NULL,
    CONSTRAINT book_is_named_after_its_estate CHECK (book_id = coalesce(estate_id, 'city')),
    CONSTRAINT book_of_the_city_is_no_estates CHECK (estate_id <> 'city')
);

-- What the guards below hold is not said again as CHECK constraints here: PostgreSQL prepares each of those
-- anew for every statement, which together cost a fifth of an entry's time.
CREATE TABLE journal_entry (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book_id text NOT NULL,
    event_kind text NOT NULL,
    event_key text NOT NULL,
    effective_on date NOT NULL,
    posted_at timestamptz NOT NULL,
    -- Declared with the entry, and what its postings are held against: at least 2 lines, more than 0 fen.
    line_count smallint NOT NULL,
    total_fen bigint NOT NULL,
    summary_zh text NOT NULL,
    -- Who is answerable: the logged-in principal, or NULL where the software acted by itself.
    principal_id uuid,
    actor text NOT NULL,
    -- Only of a reversal, both.
    reverses_entry_id bigint,
    reason text,
    UNIQUE (book_id, event_kind, event_key)
);
CREATE UNIQUE INDEX journal_entry_reversed_once_idx ON journal_entry (reverses_entry_id)
    WHERE reverses_entry_id IS NOT NULL;
-- Entries arrive nearly in the order of their days: a block range index is a thousandth of a b-tree's work.
CREATE INDEX journal_entry_effective_on_idx ON journal_entry
    USING brin (effective_on date_minmax_multi_ops) WITH (autosummarize = on);

CREATE TABLE posting (
    entry_id bigint NOT NULL,
    line_no smallint NOT NULL,
    account_code text NOT NULL,
    debit_fen bigint NOT NULL,
    credit_fen bigint NOT NULL,
    estate_id text,
    unit_id uuid,
    household_id uuid,
    channel text,
    PRIMARY KEY (entry_id, line_no),
    CONSTRAINT posting_has_one_side CHECK (
        (debit_fen > 0 AND credit_fen = 0) OR (credit_fen > 0 AND debit_fen = 0)
    )
);

-- Held at the end of each statement that adds postings: those of an entry come all at once, numbered
-- 1 to line_count, on known accounts, and both sides are the entry's total. Whoever comes later finds every
-- number taken (the primary key) or beyond line_count, so nothing can be added to an entry afterwards.
-- Sub-queries instead of joins: for the few rows of an entry, PostgreSQL starts them four times as fast.
CREATE FUNCTION posting_make_a_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM (
            SELECT entry_id, count(*) AS lines, min(line_no) AS first_no, max(line_no) AS last_no,
                   sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen,
                   count((SELECT account_code FROM public.account WHERE account_code = added.account_code))
                       AS known
            FROM added GROUP BY entry_id
        ) AS sums
        WHERE (
            SELECT sums.debit_fen = sums.credit_fen AND sums.debit_fen = entry.total_fen
               AND sums.lines = entry.line_count AND sums.first_no = 1 AND sums.last_no = entry.line_count
               AND sums.known = sums.lines
            FROM public.journal_entry AS entry WHERE entry.entry_id = sums.entry_id
        ) IS NOT TRUE
    ) THEN
        RETURN NULL;
    END IF;
    -- Refused; the rest only says why, of the first entry that is wrong.
    FOR wrong IN
        SELECT added.entry_id, count(*) AS lines, count(account.account_code) AS known,
               sum(added.debit_fen) AS debit_fen, sum(added.credit_fen) AS credit_fen, entry.line_count,
               entry.total_fen
        FROM added
        LEFT JOIN public.account USING (account_code)
        LEFT JOIN public.journal_entry AS entry USING (entry_id)
        GROUP BY added.entry_id, entry.line_count, entry.total_fen ORDER BY added.entry_id
    LOOP
        IF wrong.total_fen IS NULL THEN
            RAISE EXCEPTION 'entry % does not exist: an entry and its postings are one statement', wrong.entry_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'posting_has_its_entry', TABLE = 'posting';
        ELSIF wrong.known <> wrong.lines THEN
            RAISE EXCEPTION 'entry % posts to an account that the chart does not have', wrong.entry_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'posting_account_is_known',
                      TABLE = 'posting';
        ELSIF wrong.debit_fen <> wrong.credit_fen THEN
            RAISE EXCEPTION 'entry % is not balanced: debit % fen, credit % fen',
                wrong.entry_id, wrong.debit_fen, wrong.credit_fen
                USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_is_balanced', TABLE = 'posting';
        END IF;
    END LOOP;
    RAISE EXCEPTION 'an entry does not have the lines and the total that it was declared with'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_is_complete', TABLE = 'posting';
END $$;
CREATE TRIGGER posting_make_a_whole AFTER INSERT ON posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION posting_make_a_whole();
ALTER TABLE posting ENABLE ALWAYS TRIGGER posting_make_a_whole;

-- Held at the end of each statement that adds entries: none is empty (one posting present means all are, by
-- the check above), each is in a known book, and a reversal is the exact mirror of an entry of its book.
CREATE FUNCTION journal_entry_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    odd record;
BEGIN
    FOR odd IN
        SELECT entry_id, book_id, reverses_entry_id, reason,
               (SELECT true FROM public.book WHERE book_id = added.book_id) AS has_book,
               (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) AS has_lines
        FROM added
        WHERE (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) IS NULL
           OR (SELECT true FROM public.book WHERE book_id = added.book_id) IS NULL
           OR reverses_entry_id IS NOT NULL OR reason IS NOT NULL
    LOOP
        IF odd.has_book IS NULL THEN
            RAISE EXCEPTION 'there is no book %', odd.book_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entry_book_is_known',
                      TABLE = 'journal_entry';
        ELSIF odd.has_lines IS NULL THEN
            RAISE EXCEPTION 'entry % has no postings: an entry and its postings are one statement', odd.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_not_empty',
                      TABLE = 'journal_entry';
        ELSIF odd.reverses_entry_id IS NULL OR coalesce(odd.reason, '') = '' THEN
            RAISE EXCEPTION 'entry %: a reversal has a reason, and nothing else has one', odd.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_reversal_has_reason',
                      TABLE = 'journal_entry';
        ELSIF NOT public.journal_entry_mirrors(odd.entry_id, odd.reverses_entry_id) THEN
            RAISE EXCEPTION 'entry % is not the mirror of entry %', odd.entry_id, odd.reverses_entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_mirrors_original',
                      TABLE = 'journal_entry';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION journal_entry_mirrors(reversal_id bigint, original_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM public.journal_entry AS original
        JOIN public.journal_entry AS reversal USING (book_id, line_count, total_fen)
        WHERE original.entry_id = original_id AND reversal.entry_id = reversal_id
          AND original.reverses_entry_id IS NULL
    ) AND NOT EXISTS (
        SELECT line_no, account_code, credit_fen, debit_fen, estate_id, unit_id, household_id, channel
        FROM public.posting WHERE entry_id = original_id
        EXCEPT
        SELECT line_no, account_code, debit_fen, credit_fen, estate_id, unit_id, household_id, channel
        FROM public.posting WHERE entry_id = reversal_id
    )
$$;

CREATE TRIGGER journal_entry_is_whole AFTER INSERT ON journal_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_entry_is_whole();
ALTER TABLE journal_entry ENABLE ALWAYS TRIGGER journal_entry_is_whole;

-- Accounts get better names, and books stay; neither goes away, and what an account is never changes.
CREATE FUNCTION account_keeps_its_meaning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.account_code <> OLD.account_code OR NEW.kind <> OLD.kind
       OR (OLD.role IS NOT NULL AND NEW.role IS DISTINCT FROM OLD.role) THEN
        RAISE EXCEPTION '% of account % is refused: postings rely on it', TG_OP, OLD.account_code
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'account_keeps_its_meaning', TABLE = 'account';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER account_keeps_its_meaning BEFORE UPDATE OR DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION account_keeps_its_meaning();
CREATE TRIGGER account_refuse_truncate BEFORE TRUNCATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_keeps_its_meaning;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_refuse_truncate;
