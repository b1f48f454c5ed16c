-- One entry at a time, the most frequent writing of all, goes through one function: it refuses what the tables'
-- guards refuse, but while it writes, where the guards must read what was written. SQL that adds rows in any other
-- way meets the guards as before, which look at many entries for less.

-- An entry of this kind is looked at by journal_entry_is_allowed.
CREATE FUNCTION journal_entry_is_everyday(kind_of_event text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT kind_of_event <> ALL (ARRAY[
        'manual', 'write_off', 'waiver', 'opening_arrears', 'opening_balance',
        'remittance', 'paid_on', 'refund', 'refund_transfer', 'deposit_returned', 'deposit_damage',
        'prepaid_paid_out', 'suspense_returned', 'suspense_was_payout', 'cash_banked'
    ])
$$;

-- 100 billion yuan, as in `backend/ledger/rules.py`: a few entries of any size would let the sums of days overflow, and
-- nothing more could be sealed.
CREATE FUNCTION entry_fen_max() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 10000000000000 $$;

-- As in 0015, with the bound of an entry.
CREATE OR REPLACE FUNCTION journal_entry_is_allowed(entry journal_entry) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF entry.effective_on NOT BETWEEN '1900-01-01' AND '9999-12-31'
       OR entry.posted_at NOT BETWEEN '1900-01-01 UTC' AND '9999-12-31 UTC'
       OR entry.posted_xid <> pg_current_xact_id() OR entry.total_fen > public.entry_fen_max() THEN
        RAISE EXCEPTION 'entry % has a day, a moment, a sum or a transaction that is none', entry.entry_id
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

-- The types of what post_entry is given. The guards know the function by how PostgreSQL writes it; a type of the
-- system is written without its schema, and so would be one of that name in another schema.
CREATE DOMAIN entry_text AS text;
CREATE DOMAIN entry_day AS date;
CREATE DOMAIN entry_person AS uuid;
CREATE DOMAIN line_texts AS text[];
CREATE DOMAIN line_ids AS uuid[];

-- How PostgreSQL writes post_entry in a stack.
CREATE FUNCTION post_entry_signature() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'public.post_entry(public.entry_text,public.entry_text,public.entry_text,public.entry_day,'
        'timestamp with time zone,public.entry_text,public.entry_person,public.entry_text,'
        'bigint,public.entry_text,public.line_texts,bigint[],'
        'public.line_texts,public.line_ids,public.line_ids,public.line_texts)'
$$;

-- Posts one entry; its number, or NULL where its event is posted already. The lines are arrays of the same length; an
-- amount is a debit above zero and a credit below. A dimension that no line has may be NULL as a whole.
CREATE FUNCTION post_entry(
    in_book entry_text, kind_of_event entry_text, key_of_event entry_text, counts_for entry_day,
    written_at timestamptz, summary entry_text, principal entry_person, acts entry_text, reverses bigint,
    why entry_text, codes line_texts, amounts_fen bigint[], estates line_texts, units line_ids, households line_ids,
    channels line_texts
) RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lines CONSTANT integer := cardinality(codes);
    stack text;
    total bigint := 0;
    balance bigint := 0;
    new_id bigint;
    added integer;
BEGIN
    -- A snapshot that is older than a lock would not see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'entries are posted in READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state', CONSTRAINT = 'journal_entry_sees_locks',
                  TABLE = 'journal_entry';
    END IF;
    FOR line IN 1..lines LOOP
        balance := balance + amounts_fen[line];
        total := total + greatest(amounts_fen[line], 0);
        IF (amounts_fen[line] <> 0) IS NOT TRUE THEN
            RAISE EXCEPTION 'posting % of % % is neither debit nor credit', line, kind_of_event, key_of_event
                USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_has_one_side', TABLE = 'posting';
        END IF;
    END LOOP;
    IF balance <> 0 OR total = 0 THEN
        RAISE EXCEPTION '% % is not balanced: debit % fen, credit % fen',
            kind_of_event, key_of_event, total, total - balance
            USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_is_balanced', TABLE = 'posting';
    END IF;
    -- Where this stack is not the one that the guards know (another function calls, the connection keeps the values of
    -- parameters for its errors, PostgreSQL speaks another language), the entry is one statement for them to look at.
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack NOT LIKE 'PL/pgSQL function ' || replace(public.post_entry_signature(), '_', '\_')
        || ' line __ at GET DIAGNOSTICS' THEN
        WITH entry AS (
            INSERT INTO public.journal_entry (
                book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen, summary_zh,
                principal_id, actor, reverses_entry_id, reason
            )
            VALUES (
                in_book, kind_of_event, key_of_event, counts_for, written_at, lines, total, summary,
                principal, acts, reverses, why
            )
            ON CONFLICT (book_id, event_kind, event_key) DO NOTHING RETURNING entry_id
        ), line AS (
            INSERT INTO public.posting (
                entry_id, line_no, account_code, debit_fen, credit_fen, estate_id, unit_id, household_id, channel
            )
            SELECT entry_id, number, codes[number], greatest(amounts_fen[number], 0),
                   greatest(-amounts_fen[number], 0), estates[number], units[number], households[number],
                   channels[number]
            FROM entry, generate_series(1, lines) AS number
        )
        SELECT entry_id INTO new_id FROM entry;
        RETURN new_id;
    END IF;
    -- Held until the end of the transaction: a lock of a month waits for it, or it for the lock. What is asked after it
    -- sees what was locked meanwhile.
    IF pg_advisory_xact_lock_shared(7205224, hashtext(in_book)) IS NULL THEN
        NULL;  -- An expression is not a query, and starts sooner than PERFORM.
    END IF;
    INSERT INTO public.journal_entry (
        book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen, summary_zh, principal_id,
        actor, reverses_entry_id, reason
    )
    SELECT in_book, kind_of_event, key_of_event, counts_for, written_at, lines, total, summary, principal, acts,
           reverses, why
    FROM public.book WHERE book_id = in_book AND counts_for >= coalesce((
        SELECT CASE change WHEN 'lock' THEN (month + interval '1 month')::date ELSE month END
        FROM public.period_change WHERE book_id = in_book ORDER BY change_no DESC LIMIT 1
    ), '-infinity')
    ON CONFLICT (book_id, event_kind, event_key) DO NOTHING RETURNING entry_id INTO new_id;
    IF new_id IS NULL THEN
        IF EXISTS (
            SELECT FROM public.journal_entry
            WHERE book_id = in_book AND event_kind = kind_of_event AND event_key = key_of_event
        ) THEN
            RETURN NULL;
        ELSIF NOT EXISTS (SELECT FROM public.book WHERE book_id = in_book) THEN
            RAISE EXCEPTION 'there is no book %', in_book
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entry_book_is_known',
                      TABLE = 'journal_entry';
        END IF;
        RAISE EXCEPTION 'book % is locked before %: an entry counts for %', in_book,
            public.period_open_from(in_book), counts_for
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'journal_entry_period_is_open',
                  TABLE = 'journal_entry';
    END IF;
    INSERT INTO public.posting (
        entry_id, line_no, account_code, debit_fen, credit_fen, estate_id, unit_id, household_id, channel
    )
    SELECT new_id, line, codes[line], greatest(amounts_fen[line], 0), greatest(-amounts_fen[line], 0),
           estates[line], units[line], households[line], channels[line]
    FROM generate_series(1, lines) AS line
    WHERE (SELECT true FROM public.account WHERE account_code = codes[line]);
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added <> lines THEN
        RAISE EXCEPTION '% % posts to an account that the chart does not have', kind_of_event, key_of_event
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'posting_account_is_known', TABLE = 'posting';
    ELSIF (
        reverses IS NULL AND why IS NULL AND counts_for BETWEEN '1900-01-01' AND '9999-12-31'
        AND total <= public.entry_fen_max() AND written_at BETWEEN '1900-01-01 UTC' AND '9999-12-31 UTC'
        AND public.journal_entry_is_everyday(kind_of_event)
    ) IS NOT TRUE THEN
        PERFORM public.journal_entry_is_allowed(entry) FROM public.journal_entry AS entry WHERE entry_id = new_id;
    END IF;
    RETURN new_id;
END $$;
REVOKE ALL ON FUNCTION post_entry FROM PUBLIC;

-- Whether rows come from post_entry itself. The last line of a stack is the outermost function, and no text that a
-- caller chooses ends like this: statements, values and odd names stand in quotes. Looking for words as long as these
-- skips most of a stack, which LIKE reads to its end.
CREATE FUNCTION is_post_entry(stack text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT split_part(
        stack, E'"\nPL/pgSQL function ' || public.post_entry_signature() || ' line ', -1
    ) LIKE '__ at SQL statement'
$$;

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

-- As in 0015, for whatever does not come from post_entry; and PostgreSQL's own operators compare, whatever the caller's
-- search path has.
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
               AND effective_on BETWEEN '1900-01-01' AND '9999-12-31'
               AND posted_at BETWEEN '1900-01-01 UTC' AND '9999-12-31 UTC'
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

-- As in 0015, for the same; the chart is read once for all lines, for these are many at a time.
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

-- And no other guard of the books searches the path of its caller.
ALTER FUNCTION account_keeps_its_meaning() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION approval_decision_is_sound() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION approval_proposal_is_sound() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION approval_use_is_sound() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION close_signature_is_sound() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION period_change_is_sound() SET search_path = pg_catalog, pg_temp;
