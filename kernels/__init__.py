"""The GPU kernels, written in numba.cuda, to be read as a course of their own.

Knows numpy and numba only: no tensor, no dtype rule, no gradient. Installs as `tinygrad_edu.kernels`. No kernel stands
here yet: README.md says what will, and until then every op computes with its `cpu` line.
"""
