"""What was assigned of a buyer at a moment, and why: answered from the log alone."""
