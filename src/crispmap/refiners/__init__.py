"""Refiners: image + scores -> sharper scores."""
