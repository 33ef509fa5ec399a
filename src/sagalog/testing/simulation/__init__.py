"""Deterministic simulation of the real engine, and what must hold once it has come to rest."""
