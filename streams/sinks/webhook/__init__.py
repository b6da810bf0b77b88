"""Assignments to a URL: the sink behind `simpersona webhook` (docs/adr/0026)."""
