"""Month close: reports, the checklist and the lock, the close pack and its proof, and the take-over."""
