"""Scenes: windowed reading and writing of rasters, and resampling between ground sampling distances."""
