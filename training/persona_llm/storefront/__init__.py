"""The storefront that agents act in."""
