"""Jobs that may be interrupted: exactly the best stints of running."""
