"""Grading forecasts by how sessions ended, and fitting what the graph says to each shop."""
