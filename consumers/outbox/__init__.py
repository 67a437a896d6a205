"""What is to go to which sink, on disk, from before Kafka's offset is committed until a sink has taken it."""
