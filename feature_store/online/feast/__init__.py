"""What Feast needs to read the stored rows."""
