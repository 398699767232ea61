"""The daemon: its rounds, its guard, its doors."""
