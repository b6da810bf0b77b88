"""Who may do what: keys, scopes, the audit log."""
