"""Coarse networks, and the file a trained model lives in."""
