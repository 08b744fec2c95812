"""Data sets of image and mask pairs, as they come: found in their folders, checked, and split by role."""
