"""The operator's file: read strictly, with every problem said at once."""
