"""The persona LLM: traces of real sessions, a storefront to act in, models, agents and how they are gated."""
