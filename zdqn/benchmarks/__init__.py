"""Benchmarks: what zdqn does in a second, beside what the bare machine could."""
