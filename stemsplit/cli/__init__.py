"""The command line. Nothing here imports torch, numpy or rich before it is needed."""

from stemsplit.cli.app import main

__all__ = ["main"]
