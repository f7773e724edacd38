"""What a record is made of: its fields, their JSON form and their bounds."""
