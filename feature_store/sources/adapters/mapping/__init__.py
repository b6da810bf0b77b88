"""The mapping language: a TOML file that says where things are in a shop's own records."""
