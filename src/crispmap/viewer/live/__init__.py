"""The page of a run that is under way: progress, curves, and maps as they grow."""
