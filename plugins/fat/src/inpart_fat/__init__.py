"""FAT12, FAT16 and FAT32 for inpart: image, check, claim, vacate."""

__version__ = "0.1.0"
