"""The version of the program, which every module can import without a cycle."""

__version__ = "0.1.0"
