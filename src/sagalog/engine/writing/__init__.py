"""How decisions are written: many in one transaction, and what is done about those that fail."""
