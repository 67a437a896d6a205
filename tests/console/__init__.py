"""The console: its parts, its process, and its pages in a real browser."""
