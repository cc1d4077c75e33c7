"""``python -m stemsplit.docgen write|check``."""

import sys

from stemsplit.docgen import main

sys.exit(main(sys.argv[1:]))
