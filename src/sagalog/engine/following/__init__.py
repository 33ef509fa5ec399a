"""Logs of other applications: read by position, translated into messages."""
