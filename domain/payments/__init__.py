"""Payments: captures on cards and their refunds; it must not know what is paid for."""
