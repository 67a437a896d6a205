"""Evidence files: all that an incident rests on, as Kafka holds it, sealed in a ZIP that can be verified."""
