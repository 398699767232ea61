"""Where and when jobs run: one job, the queue, the guard."""
