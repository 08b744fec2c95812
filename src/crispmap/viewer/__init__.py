"""A local page over maps and runs: layers, their tiles, the server of the page, and its static copy."""
