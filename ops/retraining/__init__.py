"""Retrains of the encoder and of the persona LLM: one engine, two tables of steps."""
