"""The hotline gateway: signed notices between two parties over radio and serial links."""

__version__ = "0.1.0"
