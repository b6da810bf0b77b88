"""Look at a file that nobody described, and write the mapping that reads it. Rules and tables, no model:
`words` holds the names that people give to fields and events, `profile` what is in a file, `roles` which
field is what, `drafting` the mapping, `inspection` the report.
"""
