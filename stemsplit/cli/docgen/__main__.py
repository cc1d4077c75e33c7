"""``python -m stemsplit.cli.docgen write|check``."""

import sys

from stemsplit.cli.docgen import main

sys.exit(main(sys.argv[1:]))
