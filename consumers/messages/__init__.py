"""What is said of an incident: a message, its words in Chinese and English, its templates."""
