"""Schemas of the files that others read: Compose, KEDA, Strimzi, the Prometheus Operator (each says where it is from)."""
