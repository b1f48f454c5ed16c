-- Where a line or an entry stands is written 100,000 at a time: what it points to is asked once a statement instead of
-- once a row and column. The same is refused, and a line, its match and its case are of one account besides.

-- The rows of this statement, each with the two to four rows that it points to, each by its own key: whether a plan was
-- made for one row or for many, for small tables or for large ones, it never reads a table through.
CREATE FUNCTION line_standing_is_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    odd record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM added WHERE (
            SELECT (added.match_id IS NULL OR (
                        SELECT made.account_id = line.account_id FROM public.reconciliation_match AS made
                        WHERE made.match_id = added.match_id))
               AND (added.entry_id IS NULL OR (
                        SELECT true FROM public.journal_entry AS entry WHERE entry.entry_id = added.entry_id))
               AND (added.case_id IS NULL OR (
                        SELECT open.account_id = line.account_id FROM public.reconciliation_case AS open
                        WHERE open.case_id = added.case_id))
            FROM public.statement_line AS line WHERE line.line_id = added.line_id
        ) IS NOT TRUE
    ) THEN
        RETURN NULL;
    END IF;
    -- Refused; the rest only says why, of the first line that is wrong.
    FOR odd IN
        SELECT added.line_id, added.match_id, added.entry_id, added.case_id,
               line.account_id AS line_account, made.account_id AS match_account,
               open.account_id AS case_account, entry.entry_id IS NOT NULL AS has_entry
        FROM added
        LEFT JOIN public.statement_line AS line USING (line_id)
        LEFT JOIN public.reconciliation_match AS made USING (match_id)
        LEFT JOIN public.reconciliation_case AS open USING (case_id)
        LEFT JOIN public.journal_entry AS entry USING (entry_id)
        ORDER BY added.line_id
    LOOP
        IF odd.line_account IS NULL THEN
            RAISE EXCEPTION 'there is no line %', odd.line_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'line_standing_line_is_known',
                      TABLE = 'line_standing';
        ELSIF odd.match_id IS NOT NULL AND odd.match_account IS NULL THEN
            RAISE EXCEPTION 'line %: there is no match %', odd.line_id, odd.match_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'line_standing_match_is_known',
                      TABLE = 'line_standing';
        ELSIF odd.entry_id IS NOT NULL AND NOT odd.has_entry THEN
            RAISE EXCEPTION 'line %: there is no entry %', odd.line_id, odd.entry_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'line_standing_entry_is_known',
                      TABLE = 'line_standing';
        ELSIF odd.case_id IS NOT NULL AND odd.case_account IS NULL THEN
            RAISE EXCEPTION 'line %: there is no case %', odd.line_id, odd.case_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'line_standing_case_is_known',
                      TABLE = 'line_standing';
        ELSIF coalesce(odd.match_account, odd.case_account) <> odd.line_account THEN
            RAISE EXCEPTION 'line % of account % is in a match or case of account %', odd.line_id,
                odd.line_account, coalesce(odd.match_account, odd.case_account)
                USING ERRCODE = 'check_violation', CONSTRAINT = 'line_standing_is_of_one_account',
                      TABLE = 'line_standing';
        END IF;
    END LOOP;
    RAISE EXCEPTION 'what a line stands on is not whole'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'line_standing_is_whole', TABLE = 'line_standing';
END $$;

-- The same for an entry, which stands to one account in one place.
CREATE FUNCTION entry_standing_is_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    odd record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM added WHERE (
            SELECT (added.match_id IS NULL OR (
                        SELECT made.account_id = added.account_id FROM public.reconciliation_match AS made
                        WHERE made.match_id = added.match_id))
               AND (added.case_id IS NULL OR (
                        SELECT open.account_id = added.account_id FROM public.reconciliation_case AS open
                        WHERE open.case_id = added.case_id))
            FROM public.journal_entry AS entry WHERE entry.entry_id = added.entry_id
        ) IS NOT TRUE
    ) THEN
        RETURN NULL;
    END IF;
    -- Refused; the rest only says why, of the first entry that is wrong.
    FOR odd IN
        SELECT added.account_id, added.entry_id, added.match_id, added.case_id,
               entry.entry_id IS NOT NULL AS has_entry, made.account_id AS match_account,
               open.account_id AS case_account
        FROM added
        LEFT JOIN public.journal_entry AS entry USING (entry_id)
        LEFT JOIN public.reconciliation_match AS made USING (match_id)
        LEFT JOIN public.reconciliation_case AS open USING (case_id)
        ORDER BY added.entry_id, added.account_id
    LOOP
        IF NOT odd.has_entry THEN
            RAISE EXCEPTION 'there is no entry %', odd.entry_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entry_standing_entry_is_known',
                      TABLE = 'entry_standing';
        ELSIF odd.match_id IS NOT NULL AND odd.match_account IS NULL THEN
            RAISE EXCEPTION 'entry %: there is no match %', odd.entry_id, odd.match_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entry_standing_match_is_known',
                      TABLE = 'entry_standing';
        ELSIF odd.case_id IS NOT NULL AND odd.case_account IS NULL THEN
            RAISE EXCEPTION 'entry %: there is no case %', odd.entry_id, odd.case_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entry_standing_case_is_known',
                      TABLE = 'entry_standing';
        ELSIF coalesce(odd.match_account, odd.case_account) <> odd.account_id THEN
            RAISE EXCEPTION 'entry % stands to account % in a match or case of account %', odd.entry_id,
                odd.account_id, coalesce(odd.match_account, odd.case_account)
                USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_standing_is_of_one_account',
                      TABLE = 'entry_standing';
        END IF;
    END LOOP;
    RAISE EXCEPTION 'what an entry stands on is not whole'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_standing_is_whole', TABLE = 'entry_standing';
END $$;

CREATE TRIGGER line_standing_is_whole AFTER INSERT ON line_standing
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION line_standing_is_whole();
CREATE TRIGGER line_standing_stays_whole AFTER UPDATE ON line_standing
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION line_standing_is_whole();
ALTER TABLE line_standing
    ENABLE ALWAYS TRIGGER line_standing_is_whole,
    ENABLE ALWAYS TRIGGER line_standing_stays_whole,
    DROP CONSTRAINT line_standing_line_id_fkey,
    DROP CONSTRAINT line_standing_match_id_fkey,
    DROP CONSTRAINT line_standing_entry_id_fkey,
    DROP CONSTRAINT line_standing_case_id_fkey;
CREATE TRIGGER entry_standing_is_whole AFTER INSERT ON entry_standing
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entry_standing_is_whole();
CREATE TRIGGER entry_standing_stays_whole AFTER UPDATE ON entry_standing
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entry_standing_is_whole();
ALTER TABLE entry_standing
    ENABLE ALWAYS TRIGGER entry_standing_is_whole,
    ENABLE ALWAYS TRIGGER entry_standing_stays_whole,
    DROP CONSTRAINT entry_standing_entry_id_fkey,
    DROP CONSTRAINT entry_standing_match_id_fkey,
    DROP CONSTRAINT entry_standing_case_id_fkey;

-- Lines and entries are only ever added. A match is undone and a case closed, but neither goes away or becomes another,
-- whether something stands on it or not: that is what lets a standing be asked about only when it is written.
CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows stay, with number and account', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refuse_removal', TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER reconciliation_match_refuse_removal BEFORE DELETE ON reconciliation_match
    FOR EACH ROW EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER reconciliation_match_refuse_truncate BEFORE TRUNCATE ON reconciliation_match
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER reconciliation_match_refuse_renumbering BEFORE UPDATE OF match_id, account_id ON reconciliation_match
    FOR EACH ROW WHEN ((old.match_id, old.account_id) IS DISTINCT FROM (new.match_id, new.account_id))
    EXECUTE FUNCTION refuse_removal();
ALTER TABLE reconciliation_match
    ENABLE ALWAYS TRIGGER reconciliation_match_refuse_removal,
    ENABLE ALWAYS TRIGGER reconciliation_match_refuse_truncate,
    ENABLE ALWAYS TRIGGER reconciliation_match_refuse_renumbering;
CREATE TRIGGER reconciliation_case_refuse_removal BEFORE DELETE ON reconciliation_case
    FOR EACH ROW EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER reconciliation_case_refuse_truncate BEFORE TRUNCATE ON reconciliation_case
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER reconciliation_case_refuse_renumbering BEFORE UPDATE OF case_id, account_id ON reconciliation_case
    FOR EACH ROW WHEN ((old.case_id, old.account_id) IS DISTINCT FROM (new.case_id, new.account_id))
    EXECUTE FUNCTION refuse_removal();
ALTER TABLE reconciliation_case
    ENABLE ALWAYS TRIGGER reconciliation_case_refuse_removal,
    ENABLE ALWAYS TRIGGER reconciliation_case_refuse_truncate,
    ENABLE ALWAYS TRIGGER reconciliation_case_refuse_renumbering;

-- By entry first: what is asked by the entry alone needs no index of its own then, and numbers sort sooner than names.
ALTER TABLE entry_standing DROP CONSTRAINT entry_standing_pkey, ADD PRIMARY KEY (entry_id, account_id);
DROP INDEX entry_standing_entry_id_idx;

-- As in 0006, for the same; it also asks whether the line that parts are of is there, which a foreign key asked for
-- each line, split or not. And it no longer searches the path of its caller, like the guards of the books.
CREATE OR REPLACE FUNCTION statement_line_is_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    part record;
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT file_id, account_id FROM added) AS given
        WHERE (SELECT true FROM public.statement_file AS known
               WHERE known.file_id = given.file_id AND known.account_id = given.account_id) IS NULL
    ) THEN
        RAISE EXCEPTION 'a line without a file of its account'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'statement_line_file_is_known',
                  TABLE = 'statement_line';
    END IF;
    FOR part IN SELECT DISTINCT split_of FROM added WHERE split_of IS NOT NULL ORDER BY split_of LOOP
        IF NOT EXISTS (SELECT FROM public.statement_line WHERE line_id = part.split_of) THEN
            RAISE EXCEPTION 'there is no line % to be split', part.split_of
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'statement_line_whole_is_known',
                      TABLE = 'statement_line';
        ELSIF (
            SELECT sum(other.amount_fen) = whole.amount_fen AND sum(other.fee_fen) = whole.fee_fen
               AND bool_and(other.account_id = whole.account_id)
            FROM public.statement_line AS whole JOIN public.statement_line AS other ON other.split_of = whole.line_id
            WHERE whole.line_id = part.split_of GROUP BY whole.line_id
        ) IS NOT TRUE THEN
            RAISE EXCEPTION 'the parts of a split line are not the line'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_line_parts_add_up',
                      TABLE = 'statement_line';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
ALTER TABLE statement_line DROP CONSTRAINT statement_line_split_of_fkey;
