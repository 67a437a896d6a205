"""The commands: a module for each group, which imports only what it needs when it is run, so that ``--help`` is fast."""
