"""Refused events, for people: dead letters by reason and sender, with examples that hold no value."""
