"""Hooks of the FAT plugin."""
