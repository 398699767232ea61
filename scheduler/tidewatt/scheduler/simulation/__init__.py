"""The queue on a simulated clock: what policies would have saved on recorded grids, all else equal."""
