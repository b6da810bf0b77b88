"""Profiles: counts of live traffic per window of event time, for drift and populations."""
