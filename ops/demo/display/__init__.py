"""What the demo shows on a terminal."""
