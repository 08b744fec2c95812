"""Training of coarse networks and refiners, with presets of the papers."""
