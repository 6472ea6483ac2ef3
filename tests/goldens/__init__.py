"""What torch answered to every sample, recorded by `python -m tests.goldens.record`."""
