"""``python -m stemsplit``."""

from stemsplit.cli import run_process

run_process()
