"""The books: accounts, entries and their postings, kept whole by PostgreSQL itself."""
