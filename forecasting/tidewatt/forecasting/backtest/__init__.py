"""Forecasts judged by what happened: issued through the past as in production, scored, and put to use."""
