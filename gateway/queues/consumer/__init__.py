"""The contract for programs that take notices (README.md), and an example for each broker."""
