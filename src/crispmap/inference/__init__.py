"""Inference: whole scenes, tile by tile, exactly."""
