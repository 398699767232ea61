"""Forecasts and observations of grid carbon intensity."""
