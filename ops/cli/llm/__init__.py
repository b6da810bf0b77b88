"""`simpersona llm`: the persona LLM, from real sessions to simulated shoppers; one file a command."""
