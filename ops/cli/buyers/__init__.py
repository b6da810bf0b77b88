"""Commands about one buyer."""
