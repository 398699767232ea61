"""The demo: two recorded days of a real grid, replayed fast, while real training runs and is metered."""
