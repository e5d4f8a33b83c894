"""Functions of types beside what there is without types; run by ``vertex_types.py``."""
