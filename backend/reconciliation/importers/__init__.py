"""One file a format: bytes in, our own values out, or a refusal that names the line."""
