"""The floor all parts stand on: configuration, logs, processes, and the `estate` command."""
