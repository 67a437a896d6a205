"""Vehicles: the engine, their states, their incidents."""
