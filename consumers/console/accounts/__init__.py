"""Who looks at the console, and what each may see and do."""
