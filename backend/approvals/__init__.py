"""Two people: what one proposes, another approves, and PostgreSQL holds both to it."""
