"""Traces: real sessions in the form that a persona LLM is trained on."""
