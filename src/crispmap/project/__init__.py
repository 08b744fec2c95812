"""Workflows: a project file or the demo, carried from scene to report."""
