"""Benchmarks: ratios to torch's CPU eager mode, both sides interleaved in one run, one thread each."""
