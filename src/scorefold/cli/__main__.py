"""``python -m scorefold.cli``."""

import sys

from scorefold.cli import main

sys.exit(main())
