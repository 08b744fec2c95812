"""Training data: where they lie, the memory they may take, and random patches of them."""
