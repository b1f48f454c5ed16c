"""`python -m gateway` is `estate gateway`."""

import sys

from estate.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["gateway"]
    main()
