"""Where the console's records come from: Kafka's topics, now and of before, or a recorded day."""
