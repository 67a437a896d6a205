"""What every process has beside its work: signals, logs, pages, unreadable records counted."""
