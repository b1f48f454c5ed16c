"""The box on the estate's LAN: door events in, answers out, faces kept in its vault."""
