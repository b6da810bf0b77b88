"""What a persona LLM is compared with."""
