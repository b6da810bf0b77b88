"""What the commands of the persona LLM do with files, the registry and the live path."""
