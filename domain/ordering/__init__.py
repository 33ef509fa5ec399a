"""Ordering: what customers asked for; it must not know how an order is fulfilled."""
