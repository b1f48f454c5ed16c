-- Accounts that books share: one balance stated for all of them.

-- What the other side says such an account held at the end of a day; of several words on a day the newest counts.
CREATE TABLE shared_balance (
    account_id text NOT NULL REFERENCES statement_account,
    on_day date NOT NULL,
    file_id bigint NOT NULL REFERENCES statement_file,
    amount_fen bigint NOT NULL,
    PRIMARY KEY (account_id, on_day, file_id)
);

-- What each of the books held of it when one of them was closed, and where its chain then stood.
CREATE TABLE close_share (
    book_id text NOT NULL,
    change_no integer NOT NULL,
    account_id text NOT NULL REFERENCES statement_account,
    of_book_id text NOT NULL REFERENCES book,
    on_day date NOT NULL,
    file_id bigint NOT NULL REFERENCES statement_file,
    balance_fen bigint NOT NULL,
    share_fen bigint NOT NULL,
    -- Nought and NULL where the book has no entry yet.
    head_seq bigint NOT NULL,
    head_hash bytea,
    PRIMARY KEY (book_id, change_no, account_id, of_book_id),
    FOREIGN KEY (book_id, change_no) REFERENCES period_change (book_id, change_no)
);

ALTER TABLE reconciliation_case DROP CONSTRAINT reconciliation_case_kind_check;
ALTER TABLE reconciliation_case ADD CONSTRAINT reconciliation_case_kind_check CHECK (kind IN (
    'missing', 'extra', 'amount', 'doubled', 'shifted', 'fee', 'ambiguous', 'balance', 'other'
));
