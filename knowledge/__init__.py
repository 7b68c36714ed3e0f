"""Signatures and causes, as data: one .toml file a family."""
