"""Choreographies: contracts over what participants publish, and what becomes of a process. Pure."""
