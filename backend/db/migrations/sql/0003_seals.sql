-- Seals: each entry gets its number in its book and a link of the book's SHA-256 chain, shortly after its
-- commit. Numbering at the commit itself would make all writers of a book wait for each other; here they do
-- not, and a rolled-back entry leaves no gap because it is never seen. docs/ledger.md holds the canonical
-- form; the functions below are its one home in SQL.

-- Which transaction brought the entry: what was committed since the last look is found by it, whatever the
-- order of the commits was.
ALTER TABLE journal_entry ADD COLUMN posted_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX journal_entry_posted_xid_idx ON journal_entry (posted_xid);
-- A household's account, without reading the others'.
CREATE INDEX posting_household_id_idx ON posting (household_id, entry_id) WHERE household_id IS NOT NULL;

CREATE TABLE seal (
    book_id text NOT NULL,
    seq bigint NOT NULL,
    entry_id bigint NOT NULL UNIQUE,
    -- SHA-256 of the entry's canonical text, and of the hash before it followed by this digest.
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, seq)
);

-- Up to where everything is sealed: what was committed in this snapshot. One row.
CREATE TABLE seal_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen pg_snapshot NOT NULL
);
INSERT INTO seal_progress (seen) VALUES (pg_snapshot '1:1:');

-- What the sealed entries of a day moved on an account: the balance of any day is a sum of few rows.
CREATE TABLE balance_day (
    book_id text NOT NULL,
    account_code text NOT NULL,
    effective_on date NOT NULL,
    debit_fen bigint NOT NULL,
    credit_fen bigint NOT NULL,
    PRIMARY KEY (book_id, account_code, effective_on)
);

-- A field of the canonical text: its length in characters, a colon, itself, a comma; `-,` where there is none.
CREATE FUNCTION ledger_field(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value IS NULL THEN '-,' ELSE length(value)::text || ':' || value || ',' END
$$;

CREATE FUNCTION ledger_postings_text(of_entry bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(
        public.ledger_field(line_no::text) || public.ledger_field(account_code)
        || public.ledger_field(debit_fen::text) || public.ledger_field(credit_fen::text)
        || public.ledger_field(estate_id) || public.ledger_field(unit_id::text)
        || public.ledger_field(household_id::text) || public.ledger_field(channel) || E'\n',
        '' ORDER BY line_no)
    FROM public.posting WHERE entry_id = of_entry
$$;

CREATE FUNCTION ledger_entry_text(entry journal_entry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT E'entry 1\n'
        || public.ledger_field(entry.book_id) || public.ledger_field(entry.entry_id::text)
        || public.ledger_field(entry.event_kind) || public.ledger_field(entry.event_key)
        || public.ledger_field(to_char(entry.effective_on, 'YYYY-MM-DD'))
        || public.ledger_field(to_char(entry.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        || public.ledger_field(entry.line_count::text) || public.ledger_field(entry.total_fen::text)
        || public.ledger_field(entry.summary_zh) || public.ledger_field(entry.principal_id::text)
        || public.ledger_field(entry.actor) || public.ledger_field(entry.reverses_entry_id::text)
        || public.ledger_field(entry.reason) || E'\n'
        || public.ledger_postings_text(entry.entry_id)
$$;

CREATE FUNCTION ledger_digest(entry journal_entry) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(public.ledger_entry_text(entry), 'UTF8'))
$$;

-- The chain as a running aggregate: begins with the hash before the first row, or 32 zero bytes.
CREATE FUNCTION seal_chain_step(hash bytea, before bytea, digest bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(coalesce(hash, before, decode(repeat('00', 32), 'hex')) || digest)
$$;
CREATE AGGREGATE seal_chain(before bytea, digest bytea) (SFUNC = seal_chain_step, STYPE = bytea);

-- Entries that are committed and not sealed. A snapshot of another server (a restored dump) is worth nothing.
CREATE FUNCTION unsealed_entries() RETURNS SETOF journal_entry LANGUAGE sql STABLE AS $$
    SELECT entry.* FROM public.journal_entry AS entry
    WHERE entry.posted_xid >= (
            SELECT CASE WHEN pg_snapshot_xmin(seen) <= pg_snapshot_xmax(pg_current_snapshot())
                        THEN pg_snapshot_xmin(seen) ELSE '0'::xid8 END
            FROM public.seal_progress
        )
      AND NOT EXISTS (SELECT FROM public.seal WHERE seal.entry_id = entry.entry_id)
$$;

-- Held for every statement that adds seals, whoever asks: numbers without a gap, each entry in its own book,
-- its digest that of its text, each hash made of the one before.
CREATE FUNCTION seal_continues_the_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT added.book_id, added.seq, added.digest, added.hash, entry.book_id AS entry_book,
                   public.ledger_digest(entry) AS true_digest, before.seq AS before_seq,
                   row_number() OVER chain AS place,
                   public.seal_chain(before.hash, added.digest) OVER chain AS true_hash
            FROM added
            LEFT JOIN public.journal_entry AS entry USING (entry_id)
            LEFT JOIN LATERAL (
                SELECT seal.seq, seal.hash FROM public.seal
                WHERE seal.book_id = added.book_id
                  AND seal.seq < (SELECT min(a.seq) FROM added AS a WHERE a.book_id = added.book_id)
                ORDER BY seal.seq DESC LIMIT 1
            ) AS before ON true
            WINDOW chain AS (PARTITION BY added.book_id ORDER BY added.seq)
        ) AS checked
        WHERE (entry_book = book_id AND digest = true_digest AND hash = true_hash
               AND seq = coalesce(before_seq, 0) + place) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a seal does not continue the chain of its book'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_continues_the_chain', TABLE = 'seal';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER seal_continues_the_chain AFTER INSERT ON seal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION seal_continues_the_chain();
ALTER TABLE seal ENABLE ALWAYS TRIGGER seal_continues_the_chain;

-- Seals what is committed, at most so many entries; how many it were. Belongs to the owner: the application
-- can have entries sealed, and can neither write a seal nor a sum of its own. Two at once work in turn.
CREATE FUNCTION seal_pending(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sealed integer;
    seen_now pg_snapshot;
BEGIN
    PERFORM pg_advisory_xact_lock(7205223);
    WITH fresh AS MATERIALIZED (
        SELECT entry.entry_id, entry.book_id, entry.effective_on, public.ledger_digest(entry) AS digest
        FROM public.unsealed_entries() AS entry ORDER BY entry.entry_id LIMIT at_most
    ), head AS MATERIALIZED (
        SELECT book_id, last.seq, last.hash
        FROM (SELECT DISTINCT book_id FROM fresh) AS books
        LEFT JOIN LATERAL (
            SELECT seal.seq, seal.hash FROM public.seal
            WHERE seal.book_id = books.book_id ORDER BY seal.seq DESC LIMIT 1
        ) AS last ON true
    ), added AS (
        INSERT INTO public.seal (book_id, seq, entry_id, digest, hash, sealed_at)
        SELECT book_id, coalesce(head.seq, 0) + row_number() OVER chain, entry_id, digest,
               public.seal_chain(head.hash, digest) OVER chain, clock_timestamp()
        FROM fresh JOIN head USING (book_id)
        WINDOW chain AS (PARTITION BY book_id ORDER BY entry_id)
    ), moved AS (
        INSERT INTO public.balance_day AS day (book_id, account_code, effective_on, debit_fen, credit_fen)
        SELECT book_id, account_code, effective_on, sum(debit_fen), sum(credit_fen)
        FROM fresh JOIN public.posting USING (entry_id)
        GROUP BY book_id, account_code, effective_on ORDER BY book_id, account_code, effective_on
        ON CONFLICT (book_id, account_code, effective_on) DO UPDATE
            SET debit_fen = day.debit_fen + excluded.debit_fen,
                credit_fen = day.credit_fen + excluded.credit_fen
    )
    SELECT count(*), pg_current_snapshot() INTO sealed, seen_now FROM fresh;
    IF sealed > 0 AND sealed < at_most THEN
        UPDATE public.seal_progress SET seen = seen_now;
    END IF;
    RETURN sealed;
END $$;
REVOKE ALL ON FUNCTION seal_pending(integer) FROM PUBLIC;
