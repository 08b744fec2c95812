"""Chips: areas of ground held for training, and random patches of them."""
