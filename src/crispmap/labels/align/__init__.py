"""Labels set right object by object: each polygon moved to where the edges of the image say that it belongs."""
