"""Augmentation: random changes of the true sources, before they are mixed. NumPy only, no torch.

`make_chain` reads the tables ``[[augment]]`` of a recipe; ``table.py`` lists all names.
"""

from stemsplit.training.augment.chain import Chain, make_chain

__all__ = ["Chain", "make_chain"]
