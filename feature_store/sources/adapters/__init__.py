"""Theirs -> Event: one file a vendor."""
