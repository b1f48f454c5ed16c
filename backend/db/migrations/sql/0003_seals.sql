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

-- A field of the canonical text that may be absent: its length in characters, a colon, itself, a comma, or `-,`.
CREATE FUNCTION ledger_field(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(length(value)::text || ':' || value || ',', '-,')
$$;

-- The canonical texts of those entries; set by set, because a function call for each entry costs twice as much.
-- Written out, and by concat instead of ||, because this is most of what sealing costs.
CREATE FUNCTION ledger_texts(ids bigint[]) RETURNS TABLE (entry_id bigint, book_id text, text text)
LANGUAGE sql STABLE ROWS 1000 AS $$
    SELECT e.entry_id, e.book_id, concat(
        E'entry 1\n',
        length(e.book_id), ':', e.book_id, ',', length(e.entry_id::text), ':', e.entry_id, ',',
        length(e.event_kind), ':', e.event_kind, ',', length(e.event_key), ':', e.event_key, ',',
        '10:', to_char(e.effective_on, 'YYYY-MM-DD'), ',',
        '27:', to_char(e.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ',',
        length(e.line_count::text), ':', e.line_count, ',', length(e.total_fen::text), ':', e.total_fen, ',',
        length(e.summary_zh), ':', e.summary_zh, ',',
        CASE WHEN e.principal_id IS NULL THEN '-,' ELSE '36:' || e.principal_id || ',' END,
        length(e.actor), ':', e.actor, ',',
        public.ledger_field(e.reverses_entry_id::text), public.ledger_field(e.reason), E'\n', lines.text)
    FROM public.journal_entry AS e
    JOIN (
        SELECT p.entry_id, string_agg(concat(
            length(p.line_no::text), ':', p.line_no, ',', length(p.account_code), ':', p.account_code, ',',
            length(p.debit_fen::text), ':', p.debit_fen, ',',
            length(p.credit_fen::text), ':', p.credit_fen, ',', public.ledger_field(p.estate_id),
            CASE WHEN p.unit_id IS NULL THEN '-,' ELSE '36:' || p.unit_id || ',' END,
            CASE WHEN p.household_id IS NULL THEN '-,' ELSE '36:' || p.household_id || ',' END,
            public.ledger_field(p.channel), E'\n'), '' ORDER BY p.line_no) AS text
        FROM public.posting AS p WHERE p.entry_id = ANY (ids) GROUP BY p.entry_id
    ) AS lines ON lines.entry_id = e.entry_id
    WHERE e.entry_id = ANY (ids)
$$;

-- The chain as a running aggregate: begins with the hash before the first row, or 32 zero bytes.
CREATE FUNCTION seal_chain_step(hash bytea, before bytea, digest bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(coalesce(hash, before, '\x0000000000000000000000000000000000000000000000000000000000000000') || digest);
END $$;
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

-- Held for every statement that adds seals, except for that of `seal_pending`, which has just computed them:
-- numbers without a gap, each entry in its own book, its digest that of its text, each hash made of the one
-- before.
CREATE FUNCTION seal_continues_the_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack LIKE '%PL/pgSQL function public.seal_pending(integer) line %' THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM (
            SELECT added.book_id, added.seq, added.digest, added.hash, entry.book_id AS entry_book,
                   sha256(convert_to(entry.text, 'UTF8')) AS true_digest, before.seq AS before_seq,
                   row_number() OVER chain AS place,
                   public.seal_chain(before.hash, added.digest) OVER chain AS true_hash
            FROM added
            LEFT JOIN public.ledger_texts(ARRAY(SELECT entry_id FROM added)) AS entry USING (entry_id)
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
    ids bigint[];
    seen_now pg_snapshot;
BEGIN
    PERFORM pg_advisory_xact_lock(7205223);
    SELECT array_agg(entry_id), pg_current_snapshot() INTO ids, seen_now
    FROM (SELECT entry_id FROM public.unsealed_entries() ORDER BY entry_id LIMIT at_most) AS fresh;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    WITH fresh AS MATERIALIZED (
        SELECT book_id, entry_id, sha256(convert_to(text, 'UTF8')) AS digest FROM public.ledger_texts(ids)
    ), head AS MATERIALIZED (
        SELECT book.book_id, last.seq, last.hash FROM public.book CROSS JOIN LATERAL (
            SELECT seal.seq, seal.hash FROM public.seal
            WHERE seal.book_id = book.book_id ORDER BY seal.seq DESC LIMIT 1
        ) AS last
    )
    INSERT INTO public.seal (book_id, seq, entry_id, digest, hash, sealed_at)
    SELECT fresh.book_id, coalesce(head.seq, 0) + row_number() OVER chain, fresh.entry_id, fresh.digest,
           public.seal_chain(head.hash, fresh.digest) OVER chain, clock_timestamp()
    FROM fresh LEFT JOIN head ON head.book_id = fresh.book_id
    WINDOW chain AS (PARTITION BY fresh.book_id ORDER BY fresh.entry_id);
    INSERT INTO public.balance_day AS day (book_id, account_code, effective_on, debit_fen, credit_fen)
    SELECT book_id, account_code, effective_on, sum(debit_fen), sum(credit_fen)
    FROM public.journal_entry JOIN public.posting USING (entry_id)
    WHERE journal_entry.entry_id = ANY (ids) AND posting.entry_id = ANY (ids)
    GROUP BY book_id, account_code, effective_on ORDER BY book_id, account_code, effective_on
    ON CONFLICT (book_id, account_code, effective_on) DO UPDATE
        SET debit_fen = day.debit_fen + excluded.debit_fen, credit_fen = day.credit_fen + excluded.credit_fen;
    IF cardinality(ids) < at_most THEN
        UPDATE public.seal_progress SET seen = seen_now;
    END IF;
    RETURN cardinality(ids);
END $$;
REVOKE ALL ON FUNCTION seal_pending(integer) FROM PUBLIC;
