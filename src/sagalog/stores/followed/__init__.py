"""Logs of other applications, which are only read."""
