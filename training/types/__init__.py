"""Types: named groups of codes, and the forecast of a session's end."""
