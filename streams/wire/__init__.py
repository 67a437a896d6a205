"""What goes over Kafka and into state: topics, ids, records in, incidents out."""
