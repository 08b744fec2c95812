"""Mnih's patch network."""
