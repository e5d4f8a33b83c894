"""Runs of compiled functions over batches: native, and by the reference that tests compare with."""
