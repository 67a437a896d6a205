"""Each sink's way out: what is due, in order, within its limits, tried again."""
