-- Sealing costs the same for each entry, however large the book is and however long the sealer has been running.

-- The upper bound says nothing and lets PostgreSQL expect few rows, as it is, instead of a third of the table;
-- the sub-query is one look into the index of seals for each of them.
CREATE OR REPLACE FUNCTION unsealed_entries() RETURNS SETOF journal_entry LANGUAGE sql STABLE AS $$
    SELECT entry.* FROM public.journal_entry AS entry
    WHERE entry.posted_xid BETWEEN (
            SELECT CASE WHEN pg_snapshot_xmin(seen) <= pg_snapshot_xmax(pg_current_snapshot())
                        THEN pg_snapshot_xmin(seen) ELSE '0'::xid8 END
            FROM public.seal_progress
        ) AND '18446744073709551615'
      AND (SELECT seal.entry_id FROM public.seal WHERE seal.entry_id = entry.entry_id) IS NULL
$$;

-- A set of ids is planned for as large as it is: the plan that PostgreSQL keeps for sets of any size compares
-- each row with each id, which is four times the work at 5,000. A plan from a book's first day would read the
-- table from end to end for ever.
CREATE OR REPLACE FUNCTION seal_pending(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    ids bigint[];
    seen_now pg_snapshot;
BEGIN
    PERFORM pg_advisory_xact_lock(7205223);
    SELECT array_agg(entry_id), pg_current_snapshot() INTO ids, seen_now
    FROM (SELECT entry_id FROM public.unsealed_entries() ORDER BY entry_id LIMIT at_most) AS fresh;
    IF ids IS NULL THEN
        -- The last set was full and took all there was: nothing of it is looked through again.
        UPDATE public.seal_progress SET seen = seen_now
        WHERE pg_snapshot_xmin(seen) <> pg_snapshot_xmin(seen_now) AND EXISTS (
            SELECT FROM public.journal_entry
            WHERE posted_xid BETWEEN pg_snapshot_xmin(seen) AND '18446744073709551615'
        );
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
