"""Own forecasts: baselines and trained models behind one interface."""
