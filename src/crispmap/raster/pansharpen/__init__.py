"""Pansharpening: the detail of a panchromatic band put into multispectral bands, computed when read."""
