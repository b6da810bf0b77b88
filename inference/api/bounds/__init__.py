"""What one request, one connection and one store may cost: bounds of the persona API."""
