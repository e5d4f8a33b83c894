"""Programs as the engine takes them, with the kernels that it has."""
