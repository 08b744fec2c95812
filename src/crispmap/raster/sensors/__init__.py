"""Products of satellites: the names of their files as bands under standard names, and how values become reflectance."""
