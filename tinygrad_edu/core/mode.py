"""Grad mode: whether this thread records what it computes, and the switches for it.

Nothing in this file knows what a tensor or a tape is.
Source: https://pytorch.org/docs/stable/notes/autograd.html#grad-modes
"""
from __future__ import annotations

import functools
import inspect
import threading


class _Mode(threading.local):
    """Per thread: is the tape recording? may what is computed ever be recorded?"""
    grad = True
    inference = False
    wish = False                                   # what the switches say in inference mode, which never records


mode = _Mode()


def is_grad_enabled():
    """Whether operations are being recorded in this thread."""
    return mode.grad or mode.inference and mode.wish


def is_inference_mode_enabled():
    return mode.inference


def _switch(value):
    """Record from now on, or don't. Returns what `_restore` needs."""
    before = mode.grad, mode.wish
    if mode.inference:
        mode.wish = value
    else:
        mode.grad = value
    return before


def _restore(before):
    mode.grad, mode.wish = before


class _Switch:
    """A context manager that is also a decorator, of functions and of generator functions."""

    def __call__(self, function):
        if isinstance(function, type):
            raise TypeError(f"{type(self).__name__} decorates functions, not classes: decorate the methods")
        if inspect.isgeneratorfunction(function):
            @functools.wraps(function)
            def generator(*args, **kwargs):        # the mode is ours while the body runs, the caller's at a yield
                body = function(*args, **kwargs)
                resume, given = body.send, None
                try:
                    while True:
                        with self._fresh():
                            item = resume(given)
                        try:
                            resume, given = body.send, (yield item)
                        except GeneratorExit:
                            raise
                        except BaseException as error:     # thrown in by the caller: it is the body's to deal with
                            resume, given = body.throw, error
                except StopIteration as stop:
                    return stop.value
                finally:
                    with self._fresh():
                        body.close()
            return generator

        @functools.wraps(function)
        def decorated(*args, **kwargs):
            with self._fresh():
                return function(*args, **kwargs)
        return decorated

    def _fresh(self):
        return type(self)()


class no_grad(_Switch):
    """Nothing computed inside is recorded. `with no_grad():` or `@no_grad()`."""
    value = False

    def __new__(cls, function=None):
        self = object.__new__(cls)
        return self if function is None else self(function)

    def __enter__(self):
        self.before = _switch(self.value)

    def __exit__(self, *error):
        _restore(self.before)


class enable_grad(no_grad):
    """Record again inside a `no_grad` block."""
    value = True


class set_grad_enabled(_Switch):
    """`set_grad_enabled(flag)` acts at once; in a `with` statement until its end."""

    def __init__(self, mode: bool):
        self.value = bool(mode)
        self.before = _switch(self.value)

    def __call__(self, function):
        _restore(self.before)                      # a decorator does not switch where it stands
        return super().__call__(function)

    def _fresh(self):
        return set_grad_enabled(self.value)

    def __repr__(self):
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.value})"

    def __enter__(self):
        _switch(self.value)

    def __exit__(self, *error):
        _restore(self.before)


class inference_mode(_Switch):
    """Like no_grad, and what is computed inside can never take part in a recorded computation."""

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if callable(mode):
            self.value = True
            return self(mode)
        self.value = bool(mode)
        return self

    def _fresh(self):
        return inference_mode(self.value)

    def __enter__(self):
        self.before = mode.grad, mode.wish, mode.inference
        mode.inference = self.value
        mode.grad, mode.wish = not self.value, False

    def __exit__(self, *error):
        mode.grad, mode.wish, mode.inference = self.before
