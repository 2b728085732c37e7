"""The command line: one thin module per command over inpart.operations."""
