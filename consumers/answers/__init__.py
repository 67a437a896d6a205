"""Answers of the police and of enterprises: where they are given, how they are written down, which incidents wait for one."""
