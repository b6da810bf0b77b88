"""The study of the persona LLM: `simpersona llm evaluate` makes docs/evaluation-llm.md."""
