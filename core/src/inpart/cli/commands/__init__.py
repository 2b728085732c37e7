"""One thin module per command: options in, one operation called, its report out."""
