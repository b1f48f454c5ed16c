"""The city side: people, rights, rent, payments, books and their pages."""
