"""What a pack's ``figure_clauses`` may name beside the key figures (``streams.registry.key_figures.TITLES``): what the report has a section on."""

from __future__ import annotations

Clauses = dict[str, tuple[str, str]]
"""Measure or section → the clause of the document that speaks of it, and the clause's words."""
SECTIONS = ("parking", "transit", "interruptions", "lists", "draw")
"""What is no single figure: loading zones, time in transit, interruptions of data, the red and the black list, the draw."""
