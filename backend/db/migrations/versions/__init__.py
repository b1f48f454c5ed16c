"""The steps that bring the database to the shape this code expects."""
