"""The report of the encoder's study: JSON, page and plots."""
