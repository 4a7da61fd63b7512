"""``python -m skewless.cli``."""

import sys

from skewless.cli.main import main

sys.exit(main())
