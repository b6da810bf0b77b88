"""How a persona LLM is judged: agents against real sessions, beside baselines that could embarrass them."""
