"""What a buyer is: event contract, adapters, behaviour fold, Feast definitions."""
