"""Shipping: parcels handed to a carrier; it must not know who pays for them."""
