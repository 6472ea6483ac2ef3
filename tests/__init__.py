"""The tests. `tests.samples` is the table of ops, `tests.strong` checks each line, `tests.goldens` torch's answers."""
