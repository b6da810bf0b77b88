"""Mapping files that ship with the package: one a shop."""
