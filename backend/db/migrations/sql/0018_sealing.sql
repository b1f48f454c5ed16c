-- Sealing for less, in one lane at a time, so that two sealers work side by side; the chain is the same.

-- As in 0015, but known by the outermost line of the stack: the words of an inner one can be imitated by a comment in a
-- statement.
CREATE OR REPLACE FUNCTION seal_continues_the_chain() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack LIKE E'%\nPL/pgSQL function public.seal\\_pending(integer,integer) line __ at PERFORM'
       OR stack LIKE E'%\nPL/pgSQL function public.seal\\_book(character varying) line __ at PERFORM' THEN
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

-- As in 0003, but by ||, which costs less where each part stands in its place already.
CREATE OR REPLACE FUNCTION ledger_texts(ids bigint[]) RETURNS TABLE (entry_id bigint, book_id text, text text)
LANGUAGE sql STABLE ROWS 1000 AS $$
    SELECT e.entry_id, e.book_id, E'entry 1\n'
        || length(e.book_id) || ':' || e.book_id || ',' || length(e.entry_id::text) || ':' || e.entry_id || ','
        || length(e.event_kind) || ':' || e.event_kind || ','
        || length(e.event_key) || ':' || e.event_key || ',10:' || to_char(e.effective_on, 'YYYY-MM-DD')
        || ',27:' || to_char(e.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z",')
        || length(e.line_count::text) || ':' || e.line_count || ','
        || length(e.total_fen::text) || ':' || e.total_fen || ','
        || length(e.summary_zh) || ':' || e.summary_zh || ','
        || CASE WHEN e.principal_id IS NULL THEN '-,' ELSE '36:' || e.principal_id || ',' END
        || length(e.actor) || ':' || e.actor || ','
        || public.ledger_field(e.reverses_entry_id::text) || public.ledger_field(e.reason) || E'\n' || lines.text
    FROM public.journal_entry AS e
    JOIN (
        SELECT p.entry_id, string_agg(
            length(p.line_no::text) || ':' || p.line_no || ','
            || length(p.account_code) || ':' || p.account_code || ','
            || CASE WHEN p.debit_fen = 0 THEN '1:0,' ELSE length(p.debit_fen::text) || ':' || p.debit_fen || ',' END
            || CASE WHEN p.credit_fen = 0 THEN '1:0,' ELSE length(p.credit_fen::text) || ':' || p.credit_fen || ',' END
            || public.ledger_field(p.estate_id)
            || CASE WHEN p.unit_id IS NULL THEN '-,' ELSE '36:' || p.unit_id || ',' END
            || CASE WHEN p.household_id IS NULL THEN '-,' ELSE '36:' || p.household_id || ',' END
            || public.ledger_field(p.channel) || E'\n', '' ORDER BY p.line_no) AS text
        FROM public.posting AS p WHERE p.entry_id = ANY (ids) GROUP BY p.entry_id
    ) AS lines ON lines.entry_id = e.entry_id
    WHERE e.entry_id = ANY (ids)
$$;

-- As in 0015, with one plan for sets of any size, made once: planned for each set anew, with an estimate for each of its
-- entries, sealing costs 3 ms a look and a twentieth more for each entry. Without nested loops the kept plan does
-- not compare each row with each id either. Books are numbered, because numbers sort sooner than names.
CREATE OR REPLACE FUNCTION seal_entries(ids bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_nestloop = off
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    WITH fresh AS MATERIALIZED (
        SELECT book_id, entry_id, sha256(convert_to(text, 'UTF8')) AS digest FROM public.ledger_texts(ids)
    ), head AS MATERIALIZED (
        SELECT row_number() OVER () AS place, book.book_id, coalesce(last.seq, 0) AS seq, last.hash
        FROM public.book LEFT JOIN LATERAL (
            SELECT seal.seq, seal.hash FROM public.seal
            WHERE seal.book_id = book.book_id ORDER BY seal.seq DESC LIMIT 1
        ) AS last ON true
    )
    INSERT INTO public.seal (book_id, seq, entry_id, digest, hash, sealed_at)
    SELECT fresh.book_id, head.seq + row_number() OVER chain, fresh.entry_id, fresh.digest,
           public.seal_chain(head.hash, fresh.digest) OVER chain, clock_timestamp()
    FROM fresh JOIN head ON head.book_id = fresh.book_id
    WINDOW chain AS (PARTITION BY head.place ORDER BY fresh.entry_id);
    INSERT INTO public.balance_day AS day (book_id, account_code, effective_on, debit_fen, credit_fen)
    SELECT book_id, account_code, effective_on, sum(debit_fen), sum(credit_fen)
    FROM public.journal_entry JOIN public.posting USING (entry_id)
    WHERE journal_entry.entry_id = ANY (ids) AND posting.entry_id = ANY (ids)
    GROUP BY book_id, account_code, effective_on ORDER BY book_id, account_code, effective_on
    ON CONFLICT (book_id, account_code, effective_on) DO UPDATE
        SET debit_fen = day.debit_fen + excluded.debit_fen, credit_fen = day.credit_fen + excluded.credit_fen;
END $$;

-- As in 0015, but one lane a call, so that the other is free for another sealer: `first_lane`, or where nothing is to
-- be sealed there, or another sealer has it, the other one.
DROP FUNCTION seal_pending(integer);
CREATE FUNCTION seal_pending(at_most integer, first_lane integer DEFAULT 0) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    here smallint;
    held text[];
    left_xid xid8;
    found record;
    done integer := 0;
BEGIN
    -- A set of none would be full, and everything before it taken for sealed.
    IF (at_most >= 1) IS NOT TRUE OR (first_lane IN (0, 1)) IS NOT TRUE THEN
        RAISE EXCEPTION 'a set has at least one entry, not %, and there is no lane % but 0 and 1', at_most, first_lane
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH here IN ARRAY ARRAY[first_lane, 1 - first_lane] LOOP
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(7205223, here);
        held := '{}';
        left_xid := NULL;
        LOOP
            WITH fresh AS MATERIALIZED (
                SELECT entry_id, book_id, posted_xid FROM public.unsealed_entries(here)
                WHERE book_id <> ALL (held) LIMIT at_most
            ), free AS MATERIALIZED (
                SELECT book_id, first_id FROM (
                    SELECT book_id, min(entry_id) AS first_id FROM fresh GROUP BY book_id
                ) AS each WHERE pg_try_advisory_xact_lock_shared(7205224, hashtext(book_id))
            )
            SELECT array_agg(fresh.entry_id) FILTER (WHERE free.book_id IS NOT NULL) AS ids,
                   count(fresh.entry_id) = at_most AS is_full, max(fresh.posted_xid) AS last_xid,
                   min(fresh.posted_xid) FILTER (WHERE free.book_id IS NULL) AS left_xid,
                   array_agg(DISTINCT fresh.book_id) FILTER (WHERE free.book_id IS NULL) AS held,
                   array_agg(DISTINCT free.first_id) AS first_ids, pg_current_snapshot() AS seen
            INTO found FROM fresh LEFT JOIN free USING (book_id);
            left_xid := least(left_xid, found.left_xid);
            -- A set that is full of a held book's entries is no set: the other books' come behind them.
            EXIT WHEN found.held IS NULL OR NOT found.is_full;
            held := held || found.held;
        END LOOP;
        -- Who held a book alone a moment ago has sealed it whole, which that look may not have seen.
        CONTINUE WHEN EXISTS (SELECT FROM public.seal WHERE entry_id = ANY (found.first_ids));
        IF found.ids IS NOT NULL THEN
            PERFORM public.seal_entries(found.ids);
            done := done + cardinality(found.ids);
        END IF;
        -- Of a full set, the last transaction may have more. Numbers of another server stand as long as anything of
        -- them is left. Where nobody posted, nothing is written.
        UPDATE public.seal_lane
        SET sealed_below = least(pg_snapshot_xmin(found.seen), left_xid,
                                 CASE WHEN found.is_full THEN found.last_xid END)
        WHERE lane = here AND sealed_below <> pg_snapshot_xmin(found.seen)
          AND CASE WHEN sealed_below > pg_snapshot_xmax(found.seen)
                   THEN left_xid IS NULL AND NOT found.is_full
                   ELSE found.last_xid IS NOT NULL OR EXISTS (
                       SELECT FROM public.journal_entry
                       WHERE posted_xid BETWEEN sealed_below AND pg_snapshot_xmax(found.seen)
                   ) END;
        EXIT WHEN done > 0;
    END LOOP;
    RETURN done;
END $$;
REVOKE ALL ON FUNCTION seal_pending(integer, integer) FROM PUBLIC;

-- As in 0015, with a type that PostgreSQL writes in words of its own, which no other type's are.
DROP FUNCTION seal_book(text);
CREATE FUNCTION seal_book(of_book character varying) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    ids bigint[];
    done integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7205224, hashtext(of_book));
    LOOP
        SELECT array_agg(entry_id) INTO ids FROM (
            SELECT entry_id FROM public.unsealed_entries(public.seal_lane_of(of_book))
            WHERE book_id = of_book LIMIT 10000
        ) AS fresh;
        EXIT WHEN ids IS NULL;
        PERFORM public.seal_entries(ids);
        done := done + cardinality(ids);
    END LOOP;
    RETURN done;
END $$;
REVOKE ALL ON FUNCTION seal_book FROM PUBLIC;
