"""Outlets and enterprises: signs of life, intervals of fault, credit."""
