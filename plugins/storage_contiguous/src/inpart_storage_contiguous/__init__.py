"""The contiguous container layout for inpart."""

__version__ = "0.1.0"
