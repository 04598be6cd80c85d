"""``python -m scorefold``: the command line."""

import sys

from scorefold.cli import main

sys.exit(main())
