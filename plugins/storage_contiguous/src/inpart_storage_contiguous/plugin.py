"""Hooks of the contiguous layout."""
