"""The routes of the persona API, one file per resource."""
