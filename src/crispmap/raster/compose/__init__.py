"""Scenes composed of bands on different grids, and what is made of their indices."""
