"""What happens without anybody asking: the worker, whose queue is PostgreSQL alone."""
