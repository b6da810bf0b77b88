"""Sinks deliver assignments to other systems (docs/adr/0026, 0036). A module here registers its own."""
