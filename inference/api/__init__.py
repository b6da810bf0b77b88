"""The persona API: events in, personas out, over HTTP (`simpersona api`)."""
