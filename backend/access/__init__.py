"""What happened at the doors, as the gateways report it."""
