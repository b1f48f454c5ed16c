-- What an entry's guards and its seal cost. The same is refused as before, and the chain is the same.

-- A condition at a trigger and a CHECK are read from their text anew for each statement, which for one entry costs
-- more than what they ask: everything is asked by one trigger a table, in as few questions as it takes.

-- Of an entry that is not everyday, alone.
CREATE FUNCTION journal_entry_is_allowed(entry journal_entry) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF entry.effective_on NOT BETWEEN '1900-01-01' AND '9999-12-31' OR NOT isfinite(entry.posted_at)
       OR entry.posted_xid <> pg_current_xact_id() THEN
        RAISE EXCEPTION 'entry % has a day, a moment or a transaction that is none', entry.entry_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_of_this_world',
                  TABLE = 'journal_entry';
    ELSIF (entry.reverses_entry_id IS NULL) <> (coalesce(entry.reason, '') = '') OR entry.reason = '' THEN
        RAISE EXCEPTION 'entry %: a reversal has a reason, and nothing else has one', entry.entry_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_reversal_has_reason',
                  TABLE = 'journal_entry';
    ELSIF entry.reverses_entry_id IS NOT NULL
      AND NOT public.journal_entry_mirrors(entry.entry_id, entry.reverses_entry_id) THEN
        RAISE EXCEPTION 'entry % is not the mirror of entry %', entry.entry_id, entry.reverses_entry_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_mirrors_original',
                  TABLE = 'journal_entry';
    ELSIF entry.event_kind IN ('manual', 'write_off', 'waiver')
      AND NOT public.journal_entry_is_approved(entry.book_id, entry.event_kind, entry.event_key)
       OR entry.event_kind IN ('opening_arrears', 'opening_balance')
      AND NOT public.opening_entry_is_approved(entry) THEN
        RAISE EXCEPTION 'entry %: nobody approved % %', entry.entry_id, entry.event_kind, entry.event_key
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'journal_entry_is_approved',
                  TABLE = 'journal_entry';
    END IF;
    IF entry.reverses_entry_id IS NULL THEN
        PERFORM public.journal_entry_within_what_stands(entry);
    END IF;
END $$;

DROP TRIGGER opening_entry_is_approved ON journal_entry;
DROP FUNCTION opening_entry_is_approved();
-- It belongs to the transaction of a take-over that two people agreed on.
CREATE FUNCTION opening_entry_is_approved(entry journal_entry) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM public.take_over JOIN public.book USING (estate_id)
        WHERE book.book_id = entry.book_id AND take_over.posted_xid = pg_current_xact_id()
          AND take_over.month = entry.effective_on
    )
$$;

DROP TRIGGER journal_entry_within_what_stands ON journal_entry;
DROP FUNCTION journal_entry_within_what_stands();
-- Nothing leaves above what stands in its account; as in 0013.
CREATE FUNCTION journal_entry_within_what_stands(entry journal_entry) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    line record;
    stands bigint;
BEGIN
    FOR line IN
        SELECT posting.account_code, posting.household_id, account.role, account.kind = 'asset' AS is_asset
        FROM public.posting JOIN public.account USING (account_code)
        WHERE posting.entry_id = entry.entry_id
          AND (posting.debit_fen > 0 AND account.role IN (
                   'rent_for_treasury_collected', 'late_fee_collected', 'damage_collected',
                   'interest_for_treasury', 'property_fee_collected', 'utilities_collected',
                   'suspense_received', 'prepaid_rent', 'deposit', 'deposit_held')
               OR posting.credit_fen > 0 AND account.role = 'cash')
          AND entry.event_kind IN (
              'remittance', 'paid_on', 'refund', 'refund_transfer', 'deposit_returned', 'deposit_damage',
              'prepaid_paid_out', 'suspense_returned', 'suspense_was_payout', 'cash_banked')
        GROUP BY posting.account_code, posting.household_id, account.role, account.kind
        ORDER BY posting.account_code, posting.household_id
    LOOP
        IF line.role IN ('prepaid_rent', 'deposit', 'deposit_held') THEN
            -- The lock of a household's account, which everybody takes who pays or charges there.
            PERFORM pg_advisory_xact_lock(7205302, hashtext(line.household_id::text));
            SELECT coalesce(sum(posting.credit_fen - posting.debit_fen), 0) INTO stands
            FROM public.posting JOIN public.journal_entry USING (entry_id)
            WHERE posting.household_id = line.household_id AND posting.account_code = line.account_code
              AND journal_entry.book_id = entry.book_id;
        ELSIF entry.event_kind IN ('refund', 'refund_transfer') THEN
            -- What a refund opens again was bounded by its own payment, under the household's lock.
            CONTINUE;
        ELSE
            PERFORM pg_advisory_xact_lock(7205312, hashtext(entry.book_id));
            SELECT coalesce(sum(credit_fen - debit_fen), 0) INTO stands
            FROM public.account_day
            WHERE book_id = entry.book_id AND account_code = line.account_code;
            IF line.is_asset THEN
                stands := -stands;
            END IF;
        END IF;
        IF stands < 0 THEN
            RAISE EXCEPTION 'entry % takes % fen more from account % than stands there',
                    entry.entry_id, -stands, line.account_code
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_within_what_stands',
                      TABLE = 'journal_entry', DETAIL = line.account_code || ' ' || -stands;
        END IF;
    END LOOP;
END $$;

-- Held at the end of each statement that adds entries: none is empty (one posting present means all are, by
-- posting_make_a_whole), each is in a known book and counts for a day that is open, and what is not everyday is
-- allowed.
CREATE OR REPLACE FUNCTION journal_entry_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    odd record;
    first_book text;
    last_book text;
    first_on date;
    everyday boolean;
    broken boolean := false;
BEGIN
    -- A snapshot that is older than a lock would not see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'entries are posted in READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state', CONSTRAINT = 'journal_entry_sees_locks',
                  TABLE = 'journal_entry';
    END IF;
    SELECT min(book_id), max(book_id), min(effective_on), bool_and(
               reverses_entry_id IS NULL AND reason IS NULL AND posted_xid = pg_current_xact_id()
               AND effective_on BETWEEN '1900-01-01' AND '9999-12-31' AND isfinite(posted_at)
               AND event_kind <> ALL (ARRAY[
                   'manual', 'write_off', 'waiver', 'opening_arrears', 'opening_balance',
                   'remittance', 'paid_on', 'refund', 'refund_transfer', 'deposit_returned', 'deposit_damage',
                   'prepaid_paid_out', 'suspense_returned', 'suspense_was_payout', 'cash_banked'])
           )
    INTO first_book, last_book, first_on, everyday FROM added;
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
        ) OR EXISTS (
            SELECT FROM added
            WHERE (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) IS NULL
        );
    ELSIF first_book IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(7205224, hashtext(book_id))
        FROM added GROUP BY book_id ORDER BY book_id;
        broken := EXISTS (
            SELECT FROM added LEFT JOIN public.book USING (book_id)
            WHERE (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) IS NULL
               OR (added.effective_on >= public.period_open_from(book.book_id)) IS NOT TRUE
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

-- As in 0002, with the CHECK that a posting has one side.
ALTER TABLE posting DROP CONSTRAINT posting_has_one_side;
CREATE OR REPLACE FUNCTION posting_make_a_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM (
            SELECT entry_id, count(*) AS lines, min(line_no) AS first_no, max(line_no) AS last_no,
                   sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen,
                   bool_and((debit_fen > 0 AND credit_fen = 0) OR (credit_fen > 0 AND debit_fen = 0)) AS sided,
                   count((SELECT account_code FROM public.account WHERE account_code = added.account_code))
                       AS known
            FROM added GROUP BY entry_id
        ) AS sums
        WHERE (
            SELECT sums.debit_fen = sums.credit_fen AND sums.debit_fen = entry.total_fen
               AND sums.lines = entry.line_count AND sums.first_no = 1 AND sums.last_no = entry.line_count
               AND sums.known = sums.lines AND sums.sided
            FROM public.journal_entry AS entry WHERE entry.entry_id = sums.entry_id
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

-- Two sealers work side by side: each book is in one of two lanes, and a lane is one sealer's at a time.
CREATE FUNCTION seal_lane_of(book text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((length(book) + ascii(right(book, 1))) & 1)::smallint
$$;
CREATE TABLE seal_lane (
    lane smallint PRIMARY KEY CHECK (lane IN (0, 1)),
    -- Everything of the lane that was posted by an earlier transaction is sealed, or was never committed.
    sealed_below xid8 NOT NULL
);
INSERT INTO seal_lane SELECT lane, pg_snapshot_xmin(seen) FROM seal_progress, generate_series(0, 1) AS lane;

-- Entries of a lane that are committed and not sealed, the oldest first. A number of a transaction that this server
-- has not reached comes from a dump of another: everything is looked at until all of it is sealed. The upper
-- bound says nothing (the caller's own number may lie above the snapshot) and lets PostgreSQL expect few rows.
CREATE FUNCTION unsealed_entries(of_lane smallint) RETURNS SETOF journal_entry LANGUAGE sql STABLE AS $$
    SELECT entry.* FROM public.journal_entry AS entry
    WHERE entry.posted_xid BETWEEN (
            SELECT CASE WHEN sealed_below <= pg_snapshot_xmax(pg_current_snapshot())
                        THEN sealed_below ELSE '0'::xid8 END
            FROM public.seal_lane WHERE lane = of_lane
        ) AND '18446744073709551615'
      AND public.seal_lane_of(entry.book_id) = of_lane
      AND (SELECT seal.entry_id FROM public.seal WHERE seal.entry_id = entry.entry_id) IS NULL
    ORDER BY entry.posted_xid
$$;
CREATE OR REPLACE FUNCTION unsealed_entries() RETURNS SETOF journal_entry LANGUAGE sql STABLE AS $$
    SELECT * FROM public.unsealed_entries(0::smallint)
    UNION ALL SELECT * FROM public.unsealed_entries(1::smallint)
$$;

DROP FUNCTION seal_pending(integer);
DROP TABLE seal_progress;

-- Numbers and hashes for these entries, and their share of the days' sums. The caller sees to it that nobody else
-- seals in their books. Sets are planned for as large as they are: the plan that PostgreSQL keeps for sets of
-- any size compares each row with each id. A plan from a book's first day would read the table from end to end
-- for ever.
CREATE FUNCTION seal_entries(ids bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
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
END $$;
REVOKE ALL ON FUNCTION seal_entries(bigint[]) FROM PUBLIC;

-- Seals what is committed, at most so many entries of a lane; how many it were. Belongs to the owner: the application
-- can have entries sealed, and can neither write a seal nor a sum of its own. A lane that another sealer has, and a
-- book that somebody holds alone (a month that is being closed), are left to them.
CREATE FUNCTION seal_pending(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    here smallint;
    held text[];
    left_xid xid8;
    found record;
    done integer := 0;
BEGIN
    FOREACH here IN ARRAY ARRAY[0, 1] LOOP
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
    END LOOP;
    RETURN done;
END $$;
REVOKE ALL ON FUNCTION seal_pending(integer) FROM PUBLIC;

-- Seals all of a book that the caller's transaction sees, its own entries included; how many it were. From here to
-- the end of the transaction nobody else posts to the book or seals in it.
CREATE FUNCTION seal_book(of_book text) RETURNS integer
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
REVOKE ALL ON FUNCTION seal_book(text) FROM PUBLIC;

-- As in 0003, for the function that seals now.
CREATE OR REPLACE FUNCTION seal_continues_the_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack LIKE '%PL/pgSQL function public.seal_entries(bigint[]) line %' THEN
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
