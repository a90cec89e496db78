"""`python -m depthhub` is `depthhub`."""

import sys

from depthhub.cli import main

if __name__ == "__main__":
    sys.exit(main())
