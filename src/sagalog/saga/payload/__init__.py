"""Inputs, results and messages as JSON and back, by declared type. It knows no saga."""
