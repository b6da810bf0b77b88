"""Loose values of payloads -> fields of an event: what is repaired, what is emptied, and how it is noted."""
