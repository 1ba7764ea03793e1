"""`python -m nearfield`: the same as the command `nearfield`."""

import sys

from nearfield.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
