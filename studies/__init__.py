"""Studies of this repository's methods: each makes a report in docs/. Not part of the wheel."""
