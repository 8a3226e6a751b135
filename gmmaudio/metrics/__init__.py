"""Measures of decisions, in the conventions of their field."""
