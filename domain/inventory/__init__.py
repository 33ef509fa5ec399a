"""Inventory: what is on hand, and what is set aside for an order; it must not know prices."""
