"""Erasures in the log: commands become requests, what is left of a buyer, how an erasure ends."""
