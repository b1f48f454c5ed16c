-- Closes that somebody asked for, and the two signatures under the sheet of a closed month.

-- Somebody pressed the button; the worker does it. The rows are the queue, and the one that waits is the close.
CREATE TABLE close_request (
    request_id uuid PRIMARY KEY,
    book_id text NOT NULL REFERENCES book,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    -- What may stay open, and why.
    despite text[] NOT NULL,
    reason text NOT NULL,
    requested_by uuid NOT NULL REFERENCES principal,
    requested_at timestamptz NOT NULL,
    -- When a worker took it up; NULL while it waits.
    started_at timestamptz,
    finished_at timestamptz,
    -- Why the month is not closed; NULL when it is.
    refused_zh text,
    refused_en text,
    CONSTRAINT close_request_ends_one_way CHECK (
        (refused_zh IS NULL) = (refused_en IS NULL) AND (refused_zh IS NULL OR finished_at IS NOT NULL)
    )
);
-- However often the button is pressed, one close.
CREATE UNIQUE INDEX close_request_open_idx ON close_request (book_id, month) WHERE finished_at IS NULL;

-- Who signed which head and which pack, and when. Who closed signs first, another person after that.
CREATE TABLE close_signature (
    close_id uuid NOT NULL REFERENCES month_close,
    signs_as text NOT NULL CHECK (signs_as IN ('closer', 'reviewer')),
    head_seq bigint NOT NULL,
    head_hash bytea NOT NULL,
    manifest_sha256 bytea NOT NULL,
    -- What the trial balance says was moved in the month.
    debit_fen bigint NOT NULL,
    credit_fen bigint NOT NULL,
    signed_by uuid NOT NULL REFERENCES principal,
    signed_at timestamptz NOT NULL,
    -- By the server's own clock, whatever signed_at says.
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (close_id, signs_as)
);

CREATE FUNCTION close_signature_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    filed record;
    moved record;
    roles text[];
BEGIN
    -- A snapshot that is older than a reopening would not see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a close sheet is signed in READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state', CONSTRAINT = 'close_signature_sees_reopenings',
                  TABLE = 'close_signature';
    END IF;
    SELECT month_close.*, book.estate_id, lock.head_seq AS locked_seq,
           coalesce(lock.head_hash, decode(repeat('00', 32), 'hex')) AS locked_hash
    INTO filed
    FROM public.month_close JOIN public.book USING (book_id)
    JOIN public.period_change AS lock USING (book_id, change_no)
    WHERE close_id = NEW.close_id;
    IF filed.close_id IS NULL THEN
        RETURN NEW;  -- The foreign key says so.
    END IF;
    -- Nobody opens the month meanwhile: whoever does holds this lock alone.
    PERFORM pg_advisory_xact_lock_shared(7205224, hashtext(filed.book_id));
    SELECT coalesce(sum(debit_fen), 0) AS debit_fen, coalesce(sum(credit_fen), 0) AS credit_fen INTO moved
    FROM public.balance_day
    WHERE book_id = filed.book_id AND effective_on >= filed.month
      AND effective_on < (filed.month + interval '1 month')::date;
    SELECT CASE NEW.signs_as WHEN 'closer' THEN propose_roles ELSE approve_roles END INTO roles
    FROM public.approval_kind WHERE kind = 'close_sheet';
    IF EXISTS (
        SELECT FROM public.period_change AS later
        WHERE later.book_id = filed.book_id AND later.month = filed.month AND later.change_no > filed.change_no
    ) THEN
        RAISE EXCEPTION 'close % was opened again: there is nothing to sign', NEW.close_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'close_signature_is_of_the_last_close',
                  TABLE = 'close_signature';
    ELSIF (NEW.head_seq, NEW.head_hash, NEW.manifest_sha256)
          IS DISTINCT FROM (filed.head_seq, filed.head_hash, filed.manifest_sha256)
       OR (NEW.head_seq, NEW.head_hash) IS DISTINCT FROM (filed.locked_seq, filed.locked_hash) THEN
        RAISE EXCEPTION 'close % has another head or another pack than is signed here', NEW.close_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'close_signature_is_of_the_filed_pack',
                  TABLE = 'close_signature';
    ELSIF (NEW.debit_fen, NEW.credit_fen) IS DISTINCT FROM (moved.debit_fen::bigint, moved.credit_fen::bigint) THEN
        RAISE EXCEPTION 'close % has other totals than are signed here', NEW.close_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'close_signature_is_of_the_books',
                  TABLE = 'close_signature';
    ELSIF NEW.signs_as = 'closer' AND NEW.signed_by <> filed.closed_by THEN
        RAISE EXCEPTION 'close % is signed first by whoever closed', NEW.close_id
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'close_signature_is_by_the_closer',
                  TABLE = 'close_signature';
    ELSIF NEW.signs_as = 'reviewer' AND (NEW.signed_by = filed.closed_by OR EXISTS (
        SELECT FROM public.principal AS mine JOIN public.principal AS theirs USING (person_id)
        WHERE mine.principal_id = NEW.signed_by AND theirs.principal_id = filed.closed_by
    )) THEN
        RAISE EXCEPTION 'close % needs the signature of a second person', NEW.close_id
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'close_signature_is_by_another_person',
                  TABLE = 'close_signature';
    ELSIF NEW.signed_at < filed.closed_at OR NEW.signs_as = 'reviewer' AND NOT EXISTS (
        SELECT FROM public.close_signature AS first
        WHERE first.close_id = NEW.close_id AND first.signs_as = 'closer' AND first.signed_at <= NEW.signed_at
    ) THEN
        RAISE EXCEPTION 'close % is closed, then signed by whoever closed, then by another', NEW.close_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'close_signature_in_order', TABLE = 'close_signature';
    ELSIF NOT public.approval_has_right(NEW.signed_by, coalesce(roles, '{}'), filed.estate_id, NEW.signed_at) THEN
        RAISE EXCEPTION 'principal % has no right to sign there on that day', NEW.signed_by
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'close_signature_signer_has_right',
                  TABLE = 'close_signature';
    END IF;
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER close_signature_is_sound BEFORE INSERT ON close_signature
    FOR EACH ROW EXECUTE FUNCTION close_signature_is_sound();
ALTER TABLE close_signature ENABLE ALWAYS TRIGGER close_signature_is_sound;

-- Who may sign; a fresh database has it from the file of rights already.
INSERT INTO approval_kind (kind, name_zh, name_en, propose_roles, approve_roles)
VALUES ('close_sheet', '结账单签字', 'Signatures of a close sheet', '{finance}', '{finance}')
ON CONFLICT (kind) DO NOTHING;
