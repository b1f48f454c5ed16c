-- Periods. A book is locked through a month or not at all; months are locked and reopened one after the other,
-- and every change is a row that stays. An entry whose effective date lies in a locked month is refused.

CREATE TABLE period_change (
    book_id text NOT NULL REFERENCES book,
    change_no integer NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    change text NOT NULL CHECK (change IN ('lock', 'unlock')),
    principal_id uuid NOT NULL REFERENCES principal,
    changed_at timestamptz NOT NULL,
    -- By the server's own clock.
    recorded_at timestamptz NOT NULL,
    -- Where the chain stood.
    head_seq bigint NOT NULL,
    head_hash bytea,
    -- Of an unlocking: what two people agreed on.
    proposal_id uuid UNIQUE REFERENCES approval_use,
    PRIMARY KEY (book_id, change_no),
    CONSTRAINT period_unlock_is_approved CHECK ((change = 'unlock') = (proposal_id IS NOT NULL))
);

-- The first day that is open; everything is, where nothing was ever locked.
CREATE FUNCTION period_open_from(of_book text) RETURNS date LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((
        SELECT CASE change WHEN 'lock' THEN (month + interval '1 month')::date ELSE month END
        FROM public.period_change WHERE book_id = of_book ORDER BY change_no DESC LIMIT 1
    ), '-infinity');
END $$;

CREATE FUNCTION period_change_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    open_from date;
    last_no integer;
BEGIN
    -- Nobody posts to the book meanwhile: journal_entry_is_whole holds the same lock, shared.
    PERFORM pg_advisory_xact_lock(7205224, hashtext(NEW.book_id));
    SELECT max(change_no) INTO last_no FROM public.period_change WHERE book_id = NEW.book_id;
    open_from := public.period_open_from(NEW.book_id);
    IF NEW.change_no <> coalesce(last_no, 0) + 1 THEN
        RAISE EXCEPTION 'change % is not the next of book %', NEW.change_no, NEW.book_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'period_changes_are_counted', TABLE = 'period_change';
    ELSIF NEW.change = 'lock' AND isfinite(open_from) AND NEW.month <> open_from
       OR NEW.change = 'unlock' AND NEW.month <> (open_from - interval '1 month')::date THEN
        RAISE EXCEPTION 'book % is open from %: % is not the month to %', NEW.book_id, open_from, NEW.month,
            NEW.change
            USING ERRCODE = 'check_violation', CONSTRAINT = 'period_months_in_order', TABLE = 'period_change';
    ELSIF NEW.change = 'unlock' AND NOT EXISTS (
        SELECT FROM public.approval_use AS used JOIN public.approval_proposal AS asked USING (proposal_id)
        JOIN public.book ON book.book_id = NEW.book_id AND book.estate_id IS NOT DISTINCT FROM asked.estate_id
        WHERE used.proposal_id = NEW.proposal_id AND used.kind = 'unlock_period'
          AND asked.subject = 'period:' || NEW.book_id || ':' || to_char(NEW.month, 'YYYY-MM')
    ) THEN
        RAISE EXCEPTION 'nobody approved to reopen % of book %', NEW.month, NEW.book_id
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'period_unlock_is_approved',
                  TABLE = 'period_change';
    ELSIF NEW.head_seq <> (SELECT count(*) FROM public.journal_entry WHERE book_id = NEW.book_id)
       OR NEW.head_seq <> (SELECT coalesce(max(seq), 0) FROM public.seal WHERE book_id = NEW.book_id)
       OR NEW.head_hash IS DISTINCT FROM (
            SELECT hash FROM public.seal WHERE book_id = NEW.book_id ORDER BY seq DESC LIMIT 1
       ) THEN
        RAISE EXCEPTION 'book % is not sealed to its last entry', NEW.book_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'period_is_sealed', TABLE = 'period_change';
    END IF;
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER period_change_is_sound BEFORE INSERT ON period_change
    FOR EACH ROW EXECUTE FUNCTION period_change_is_sound();
ALTER TABLE period_change ENABLE ALWAYS TRIGGER period_change_is_sound;

-- As in 0002, and with the period, the transaction and two people.
CREATE OR REPLACE FUNCTION journal_entry_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    odd record;
    written record;
BEGIN
    -- A snapshot that is older than a lock would not see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'entries are posted in READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state', CONSTRAINT = 'journal_entry_sees_locks',
                  TABLE = 'journal_entry';
    END IF;
    FOR written IN SELECT book_id, min(effective_on) AS first_on FROM added GROUP BY book_id ORDER BY book_id LOOP
        -- Held until the end of the transaction: a lock of a month waits for it, or it for the lock.
        PERFORM pg_advisory_xact_lock_shared(7205224, hashtext(written.book_id));
        IF written.first_on < public.period_open_from(written.book_id) THEN
            RAISE EXCEPTION 'book % is locked before %: an entry counts for %', written.book_id,
                public.period_open_from(written.book_id), written.first_on
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'journal_entry_period_is_open',
                      TABLE = 'journal_entry';
        END IF;
    END LOOP;
    FOR odd IN
        SELECT entry_id, book_id, event_kind, event_key, effective_on, posted_at, posted_xid, reverses_entry_id,
               reason,
               (SELECT true FROM public.book WHERE book_id = added.book_id) AS has_book,
               (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) AS has_lines
        FROM added
        WHERE (SELECT true FROM public.posting WHERE entry_id = added.entry_id AND line_no = 1) IS NULL
           OR (SELECT true FROM public.book WHERE book_id = added.book_id) IS NULL
           OR reverses_entry_id IS NOT NULL OR reason IS NOT NULL
           OR effective_on > '9999-12-31'
           OR effective_on < '1900-01-01' OR NOT isfinite(posted_at) OR posted_xid <> pg_current_xact_id()
           OR event_kind IN ('manual', 'write_off', 'waiver')
    LOOP
        IF odd.has_book IS NULL THEN
            RAISE EXCEPTION 'there is no book %', odd.book_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entry_book_is_known',
                      TABLE = 'journal_entry';
        ELSIF odd.has_lines IS NULL THEN
            RAISE EXCEPTION 'entry % has no postings: an entry and its postings are one statement', odd.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_not_empty',
                      TABLE = 'journal_entry';
        ELSIF odd.effective_on NOT BETWEEN '1900-01-01' AND '9999-12-31' OR NOT isfinite(odd.posted_at)
           OR odd.posted_xid <> pg_current_xact_id() THEN
            RAISE EXCEPTION 'entry % has a day, a moment or a transaction that is none', odd.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_of_this_world',
                      TABLE = 'journal_entry';
        ELSIF (odd.reverses_entry_id IS NULL) <> (coalesce(odd.reason, '') = '') OR odd.reason = '' THEN
            RAISE EXCEPTION 'entry %: a reversal has a reason, and nothing else has one', odd.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_reversal_has_reason',
                      TABLE = 'journal_entry';
        ELSIF odd.reverses_entry_id IS NOT NULL
          AND NOT public.journal_entry_mirrors(odd.entry_id, odd.reverses_entry_id) THEN
            RAISE EXCEPTION 'entry % is not the mirror of entry %', odd.entry_id, odd.reverses_entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_mirrors_original',
                      TABLE = 'journal_entry';
        ELSIF odd.event_kind IN ('manual', 'write_off', 'waiver')
          AND NOT public.journal_entry_is_approved(odd.book_id, odd.event_kind, odd.event_key) THEN
            RAISE EXCEPTION 'entry %: nobody approved % %', odd.entry_id, odd.event_kind, odd.event_key
                USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'journal_entry_is_approved',
                      TABLE = 'journal_entry';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- The entry's key is the proposal; it was approved, used, and is about the book's estate.
CREATE FUNCTION journal_entry_is_approved(in_book text, kind_of_event text, key_of_event text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM public.approval_use AS used JOIN public.approval_proposal AS asked USING (proposal_id)
        JOIN public.book ON book.book_id = in_book AND book.estate_id IS NOT DISTINCT FROM asked.estate_id
        WHERE used.proposal_id::text = key_of_event
          AND used.kind = CASE kind_of_event WHEN 'manual' THEN 'manual_entry' ELSE kind_of_event END
    )
$$;
