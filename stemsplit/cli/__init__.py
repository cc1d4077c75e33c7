"""The command line. Nothing here imports torch, numpy or rich before it is needed."""

from stemsplit.cli.app import main, run_process

__all__ = ["main", "run_process"]
