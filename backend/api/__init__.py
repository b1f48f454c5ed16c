"""The HTTP interface for gateways, and how every error becomes an answer."""
