"""Replays what was submitted under another configuration, in a process of its own."""
