"""Rent: what each household is charged, what it paid, and what was paid for what."""
