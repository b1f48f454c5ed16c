"""A simulated month of channel bills and bank statements, made from payments, with errors on request.

Deterministic: the same payments and seed give the same bytes.
"""
