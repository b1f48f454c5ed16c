"""Face panels of the mqtt/face family: they keep records, hold a roster, and have their firmware's ways."""
