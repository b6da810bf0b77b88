"""The report of the persona LLM's study: JSON, page, tables and targets."""
