"""Command line, local stack, demo, verification, traffic."""
