"""Choreographies: contracts over what participants publish, and the outcome of a process by them. Pure."""
