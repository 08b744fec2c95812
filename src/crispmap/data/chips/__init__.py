"""Chips: patches of a scene with their masks, as files that any training tool reads."""
