"""Mapping files that ship with the package: one per shop."""
