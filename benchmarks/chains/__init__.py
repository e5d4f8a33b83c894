"""Parts of `sequences.py`."""
