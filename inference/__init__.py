"""From vectors to personas: encoders, bundles, counts, populations and the API."""
