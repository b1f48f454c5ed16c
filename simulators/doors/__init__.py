"""Doors that behave like the real devices: they keep each event until the gateway has recorded it."""
