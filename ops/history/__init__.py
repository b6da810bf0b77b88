"""Commands over history: files and archives in, features and codes out."""
