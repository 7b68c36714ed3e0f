"""Logs: read them in any form, find known lines in them."""
