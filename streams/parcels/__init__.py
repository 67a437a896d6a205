"""Parcels: scans, the store of accepted ones, violating scans, days."""
