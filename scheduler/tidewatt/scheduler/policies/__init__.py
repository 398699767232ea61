"""Which rule lets a job go where, and when a region is open: pure functions."""
