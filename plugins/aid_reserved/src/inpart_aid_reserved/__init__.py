"""The recovery aid for inpart that lives in a place inside the partition that its file system leaves unused."""

__version__ = "0.1.0"
