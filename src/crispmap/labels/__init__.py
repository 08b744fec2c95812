"""Labels: vectors and masks to learn from or to score against, and the noise in them."""
