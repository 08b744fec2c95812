"""Training data: pieces of scenes, the memory they may take, and random patches."""
