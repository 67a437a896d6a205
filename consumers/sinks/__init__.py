"""One module a sink."""
