"""Shopping agents and populations of them."""
