"""Versions of the persona LLM and the gates between them."""
