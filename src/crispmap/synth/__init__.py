"""The generated town: a scene with an exact reference and OpenStreetMap-like imprecise labels."""
