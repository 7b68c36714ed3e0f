"""Answers as text and as JSON. The text modules are the only ones that know rich."""
