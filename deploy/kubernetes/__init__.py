"""Manifests for Kubernetes, and what makes those of them that follow from the code."""
