"""The generated documents of docs/ (`make docs`)."""
