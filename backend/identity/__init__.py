"""Who may do what: people who log in, gateways that call, and the log of what they did."""
