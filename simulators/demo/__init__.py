"""One command that runs eleven estates on this machine and plays a story on them."""
