"""One library each: what Live answers for a door, as JSON text. Only system.py imports these."""
