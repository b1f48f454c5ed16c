"""`python -m estate` is the `estate` command."""

from estate.cli import main

main()
