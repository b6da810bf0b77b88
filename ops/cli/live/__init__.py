"""Commands that run, watch and administer an installation."""
