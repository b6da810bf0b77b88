"""Payloads as shops and their tools really send them, and what their senders expect to come out.

<room>/cases.toml is the table of a room's inputs. options: of the command line, or of the request's query.
events: the fields that each event must have, in order ("(none)": the field is unknown). folded: features of
the one buyer. refused: a pattern that the report or the error fits, and no event comes out. fails: why the
case does not come out right yet, or which part of the ingest work mends it.
"""
