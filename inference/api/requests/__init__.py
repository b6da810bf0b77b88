"""What every request passes through: the gate, its body, its events."""
