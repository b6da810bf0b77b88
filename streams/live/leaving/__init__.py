"""Buyers who leave: erasures, and withdrawals of consent."""
