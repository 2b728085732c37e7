"""The recovery aid for inpart that is a file on a stick or anywhere else."""

__version__ = "0.1.0"
