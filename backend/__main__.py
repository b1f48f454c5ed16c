"""`python -m backend`: the same as `estate backend`."""

from backend.commands import backend

if __name__ == "__main__":
    backend()
