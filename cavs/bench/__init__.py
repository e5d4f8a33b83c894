"""The benchmark suite behind ``cavs bench``: workloads, contenders, timing, reports."""
