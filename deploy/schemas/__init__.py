"""Schemas of the files that others read: Compose, KEDA, Strimzi, the Prometheus Operator (README.md says from where)."""
