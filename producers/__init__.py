"""What brings traffic into Kafka: recorded files, a seeded synthetic fleet, the registry importer."""
