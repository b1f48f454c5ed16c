-- Entries that come many at a time, and sealing, for less; the same is refused, and the chain is the same.

-- A look at an index for each entry goes down from the root each time; asked for all of them at once, PostgreSQL goes
-- from one to the next. In functions of their own, because the settings would cost a statement of one entry more than
-- they save it.

-- How many of these entries have a first posting.
CREATE FUNCTION first_postings(ids bigint[]) RETURNS bigint LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN (SELECT count(*) FROM public.posting WHERE entry_id = ANY (ids) AND line_no = 1);
END $$;

-- What these entries say of themselves.
CREATE FUNCTION declared_entries(ids bigint[]) RETURNS TABLE (entry_id bigint, line_count smallint, total_fen bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN QUERY SELECT entry.entry_id, entry.line_count, entry.total_fen
        FROM public.journal_entry AS entry WHERE entry.entry_id = ANY (ids);
END $$;

-- As in 0018, by first_postings.
CREATE OR REPLACE FUNCTION journal_entry_is_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stack text;
    odd record;
    ids bigint[];
    first_book text;
    last_book text;
    first_on date;
    everyday boolean;
    broken boolean := false;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF public.is_post_entry(stack) THEN
        RETURN NULL;
    END IF;
    -- A snapshot that is older than a lock would not see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'entries are posted in READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state', CONSTRAINT = 'journal_entry_sees_locks',
                  TABLE = 'journal_entry';
    END IF;
    SELECT array_agg(entry_id), min(book_id), max(book_id), min(effective_on), bool_and(
               reverses_entry_id IS NULL AND reason IS NULL AND posted_xid = pg_current_xact_id()
               AND effective_on BETWEEN '1900-01-01' AND '9999-12-31' AND isfinite(posted_at)
               AND total_fen <= public.entry_fen_max()
               AND public.journal_entry_is_everyday(event_kind)
           )
    INTO ids, first_book, last_book, first_on, everyday FROM added;
    -- Held until the end of the transaction: a lock of a month waits for it, or it for the lock. Each is a
    -- question of its own, so that the next one sees what was locked meanwhile.
    IF first_book = last_book THEN
        IF pg_advisory_xact_lock_shared(7205224, hashtext(first_book)) IS NULL THEN
            NULL;  -- An expression is not a query, and starts sooner than PERFORM.
        END IF;
        broken := NOT EXISTS (
            SELECT FROM public.book WHERE book_id = first_book AND first_on >= coalesce((
                SELECT CASE change WHEN 'lock' THEN (month + interval '1 month')::date ELSE month END
                FROM public.period_change WHERE book_id = first_book ORDER BY change_no DESC LIMIT 1
            ), '-infinity')
        ) OR public.first_postings(ids) <> cardinality(ids);
    ELSIF first_book IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(7205224, hashtext(book_id))
        FROM added GROUP BY book_id ORDER BY book_id;
        broken := public.first_postings(ids) <> cardinality(ids) OR EXISTS (
            SELECT FROM added LEFT JOIN public.book USING (book_id)
            WHERE (added.effective_on >= public.period_open_from(book.book_id)) IS NOT TRUE
               OR book.book_id IS NULL
        );
    END IF;
    IF broken THEN
        -- Refused; the rest only says why, of the first entry that is wrong.
        FOR odd IN
            SELECT added.entry_id, added.book_id, added.effective_on, book.book_id IS NOT NULL AS has_book,
                   public.period_open_from(added.book_id) AS open_from,
                   EXISTS (SELECT FROM public.posting WHERE entry_id = added.entry_id) AS has_lines
            FROM added LEFT JOIN public.book USING (book_id) ORDER BY added.entry_id
        LOOP
            IF NOT odd.has_book THEN
                RAISE EXCEPTION 'there is no book %', odd.book_id
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entry_book_is_known',
                          TABLE = 'journal_entry';
            ELSIF NOT odd.has_lines THEN
                RAISE EXCEPTION 'entry % has no postings: an entry and its postings are one statement',
                    odd.entry_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_not_empty',
                          TABLE = 'journal_entry';
            ELSIF odd.effective_on < odd.open_from THEN
                RAISE EXCEPTION 'book % is locked before %: an entry counts for %', odd.book_id, odd.open_from,
                    odd.effective_on
                    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'journal_entry_period_is_open',
                          TABLE = 'journal_entry';
            END IF;
        END LOOP;
        RAISE EXCEPTION 'an entry is not whole'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole', TABLE = 'journal_entry';
    ELSIF NOT everyday THEN
        -- In one order, for the locks that some of them take.
        PERFORM public.journal_entry_is_allowed(each.entry) FROM (
            SELECT entry FROM added JOIN public.journal_entry AS entry USING (entry_id) ORDER BY entry_id
        ) AS each;
    END IF;
    RETURN NULL;
END $$;

-- As in 0018, by declared_entries. Lines without a first one are of no entry.
CREATE OR REPLACE FUNCTION posting_make_a_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stack text;
    wrong record;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF public.is_post_entry(stack) THEN
        RETURN NULL;
    END IF;
    -- Added up together rather than joined: a kept plan for few of either would compare each with each.
    IF NOT EXISTS (
        SELECT FROM (
            SELECT entry_id, count(line_no) AS lines, min(line_no) AS first_no, max(line_no) AS last_no,
                   sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen, bool_and(sound) AS sound,
                   max(line_count) AS line_count, max(total_fen) AS total_fen
            FROM (
                SELECT entry_id, line_no, debit_fen, credit_fen,
                       (debit_fen > 0 AND credit_fen = 0 OR credit_fen > 0 AND debit_fen = 0)
                       AND account_code IN (SELECT account_code FROM public.account) AS sound,
                       NULL::smallint AS line_count, NULL::bigint AS total_fen
                FROM added
                UNION ALL
                SELECT entry_id, NULL, NULL, NULL, NULL, line_count, total_fen
                FROM public.declared_entries(ARRAY(SELECT entry_id FROM added WHERE line_no = 1))
            ) AS said GROUP BY entry_id
        ) AS sums
        WHERE (
            debit_fen = credit_fen AND debit_fen = total_fen AND lines = line_count AND first_no = 1
            AND last_no = line_count AND sound
        ) IS NOT TRUE
    ) THEN
        RETURN NULL;
    END IF;
    -- Refused; the rest only says why, of the first entry that is wrong.
    FOR wrong IN
        SELECT added.entry_id, count(*) AS lines, count(account.account_code) AS known,
               bool_and((debit_fen > 0 AND credit_fen = 0) OR (credit_fen > 0 AND debit_fen = 0)) AS sided,
               sum(added.debit_fen) AS debit_fen, sum(added.credit_fen) AS credit_fen, entry.line_count,
               entry.total_fen
        FROM added
        LEFT JOIN public.account USING (account_code)
        LEFT JOIN public.journal_entry AS entry USING (entry_id)
        GROUP BY added.entry_id, entry.line_count, entry.total_fen ORDER BY added.entry_id
    LOOP
        IF NOT wrong.sided THEN
            RAISE EXCEPTION 'entry % has a posting that is not of one side, above zero', wrong.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_has_one_side', TABLE = 'posting';
        ELSIF wrong.total_fen IS NULL THEN
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

-- As in 0018; a side that is nil is most often written as it is.
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
    FOREACH here IN ARRAY ARRAY[first_lane & 1, 1 - (first_lane & 1)] LOOP
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

-- As in 0018, for the function that seals now.
CREATE OR REPLACE FUNCTION seal_continues_the_chain() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack LIKE E'%\nPL/pgSQL function public.seal\\_pending(integer,integer) line __ at PERFORM'
       OR stack LIKE E'%\nPL/pgSQL function public.seal\\_book(text) line __ at PERFORM' THEN
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
