"""Refiners written as partial differential equations."""
