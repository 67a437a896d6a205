"""What ``yicheng up`` is made of: its plan, its processes, its screen, its verdict. ``local.py`` puts them together."""
