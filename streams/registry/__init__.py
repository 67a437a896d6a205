"""The registry: its records, what it says as of an instant, its key figures."""
