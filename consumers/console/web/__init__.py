"""What the console's pages ask over HTTP, view by view."""
