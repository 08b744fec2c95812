"""Where pixels lie: grids, blocks, areas, metres on the ground."""
