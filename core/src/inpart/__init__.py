"""inpart keeps an image of a partition inside that same partition and brings it back from there."""

__version__ = "0.1.0"
