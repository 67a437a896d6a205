"""What Prometheus is told to watch for: its rules, their cases, and the runbooks."""
