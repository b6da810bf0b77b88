"""Drift: live traffic, window by window, against the bundle's reference."""
