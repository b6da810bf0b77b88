"""The fold: events -> state -> vector. The one definition, for live traffic and for history."""
