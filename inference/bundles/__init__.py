"""Bundles: published encoders, their catalogue and their reference."""
