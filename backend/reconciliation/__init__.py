"""Reconciliation: what channels and banks say of our money, held against our books, line by line."""
