"""Usefulness: what types and codes say of what comes, against what a shop has without them."""
