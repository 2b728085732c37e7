"""Recovery aids: which there are, where they live, what they say and whether that is believed, and their upkeep."""
