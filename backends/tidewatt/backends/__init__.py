"""Where jobs run, and what they use there."""
