"""What `hotline doctor` examines: one module a subject. Nothing here changes the machine."""
