"""Requests that a bench sends: a paced load, and the attacks of a hostile store."""
