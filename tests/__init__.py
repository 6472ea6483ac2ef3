"""The tests. `tests.samples` is the table of ops, `tests.strong` checks each of its lines, `tests.goldens` are torch's answers."""
