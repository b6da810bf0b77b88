"""The persona LLM: base model, tokens, training, its folder."""
