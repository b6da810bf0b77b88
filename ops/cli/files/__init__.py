"""Commands over files of events: check, convert, generate, replay, fold, encode, backfill."""
