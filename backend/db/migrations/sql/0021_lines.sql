-- Fewer looks at indexes for each line and entry of a look; the same is refused.

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
