"""NTFS for inpart."""

__version__ = "0.1.0"
