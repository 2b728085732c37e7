"""TinyFS for inpart: reads one made-up file system."""
