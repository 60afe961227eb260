"""Contracts of every document and config file: one pydantic model per kind, checked on load."""
