"""The layout of self-describing blocks for inpart."""

__version__ = "0.1.0"
