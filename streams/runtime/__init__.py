"""Kafka and Faust: transport, checkpoints, and the stages around the pure core."""
