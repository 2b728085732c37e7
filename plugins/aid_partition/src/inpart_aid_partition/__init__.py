"""The recovery aid for inpart that is a small partition of its own, for all images of the disk."""

__version__ = "0.1.0"
