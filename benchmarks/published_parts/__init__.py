"""Parts of `published.py`."""
