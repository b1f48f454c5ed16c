"""Estates, homes, doors and the people who may use them; publishes the roster that gateways copy."""
