"""Counts of live traffic in windows of event time, for drift and populations."""
