"""The generated town: a place with an exact truth and OpenStreetMap-like imprecise labels."""
