"""A trained model -> a bundle."""
