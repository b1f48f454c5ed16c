-- A table that inherits from another lends it its rows, also a temporary one that its maker drops before the commit: a
-- guard would take such a row for the one that it asks for. What guards and seals reads each table alone.
DO $do$
DECLARE
    -- Not those in partitions, which are nothing alone.
    tables CONSTANT text := (
        SELECT string_agg(relname, '|') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition
    );
    known text;
BEGIN
    FOR known IN
        SELECT pg_get_functiondef(pg_proc.oid) FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND lanname IN ('sql', 'plpgsql')
          AND proowner = current_user::regrole
    LOOP
        EXECUTE regexp_replace(known, format('\m(FROM|JOIN|UPDATE) (public\.(?:%s))\M(?!\()', tables), '\1 ONLY \2', 'g');
    END LOOP;
END $do$;

-- As in 0007; what stands in an account is read from here.
CREATE OR REPLACE VIEW account_day AS
SELECT book_id, account_code, effective_on, debit_fen, credit_fen FROM ONLY balance_day
UNION ALL
SELECT entry.book_id, posting.account_code, entry.effective_on, posting.debit_fen, posting.credit_fen
FROM unsealed_entries() AS entry JOIN ONLY posting USING (entry_id);
