"""Vehicles on the map: where they are and were, and what they have drawn of the city. Pure."""
