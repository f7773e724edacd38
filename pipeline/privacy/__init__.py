"""What is kept out of records, and which records are kept out, before a byte reaches the queue."""
