"""``python -m cavs`` is the command ``cavs``."""

import sys

from cavs.cli import main

if __name__ == "__main__":
    sys.exit(main())
