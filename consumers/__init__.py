"""What takes results out of Kafka: the notifier and its sinks."""
