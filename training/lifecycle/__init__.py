"""Retrains: snapshot, gates, registry, alignment of codes."""
