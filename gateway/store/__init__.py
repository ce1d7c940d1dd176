"""What is kept: SQLite in the field, memory in simulation."""
