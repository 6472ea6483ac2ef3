"""How ops reach the public: one decorator makes functions, methods, operators and in-place twins.

It knows names only; what an op computes is none of its business.
"""
from __future__ import annotations

import functools
from types import FunctionType

from . import errors
from .fast import plain_number, short_path
from .tensor import Tensor

LIBRARY = __name__.partition(".")[0]
registry = {}                                      # torch's name ("add", "nn.functional.gelu") -> Op class or function
functions = {}                                     # the same names -> what users call
inplace_twins = {}                                 # name -> callable: ops.inplace makes `name_` of it
REFLECTED = {"__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__matmul__",
             "__and__", "__or__", "__xor__", "__lshift__", "__rshift__"}


def export(*public, inplace=False, out=True):
    """Attach an op, or a function around ops, to Tensor and to the registry of torch's functions.

    `name` is a method and a function, `__name__` an operator (its reflected twin is attached too where Python has one),
    `.name` a method only, `name()` a function only, `nn.functional.name` a function of that module. `inplace=True` asks
    for the twin `name_`; functions take torch's `out=`, unless `out=False`.
    """
    def attach(target):
        function = operator = target
        if isinstance(target, type):
            target.public = next((n.strip("._()") for n in public), target.__name__.lower())
            function = operator = short_path(target)
            if any(name.startswith("__") for name in public) and len(target.inputs) == 2:
                operator = short_path(target, operator=True)
        method = as_method(function) if function is target else function
        if "dim" in getattr(getattr(target, "__code__", None), "co_varnames", ()):
            function = operator = taking_axis(function)
        with_out = taking_out(function) if out else function
        if isinstance(with_out, FunctionType) and with_out is not target:
            name_at_home(with_out, next((n.removesuffix("()") for n in public if n[0] not in "._"), None))
        for name in public:
            if name.startswith("__"):
                setattr(Tensor, name, operator)
                if name in REFLECTED:
                    setattr(Tensor, "__r" + name[2:], _reflect(target, operator))
            elif name.endswith("()") or "." in name[1:]:
                registry[name.removesuffix("()")] = target
                functions[name.removesuffix("()")] = with_out
            elif name.startswith("."):
                setattr(Tensor, name[1:], as_method(target, True) if function is target else function)
            else:
                setattr(Tensor, name, method)
                registry[name] = target
                functions[name] = with_out
            if inplace and has_twin(name):
                inplace_twins[name.removeprefix(".")] = operator if name.startswith("__") else function
                if hasattr(Tensor, "_attach_twin"):    # an op that is added later
                    Tensor._attach_twin(name.removeprefix("."))
        return target
    return attach


def name_at_home(function, name):
    """Say of a function where users find it: pickle finds it there, too."""
    if name is not None:
        function.__module__, _, function.__qualname__ = f"{LIBRARY}.{name}".rpartition(".")


def has_twin(name):
    """Whether `name_` (or `__iname__`) is something that torch has beside `name`."""
    return name in REFLECTED if name.startswith("__") else not name.endswith("()") and "." not in name[1:]


def take_numpys_words(kwargs):
    """`axis` is our `dim`, `keepdims` our `keepdim`, as in torch."""
    for word, ours in (("axis", "dim"), ("keepdims", "keepdim")):
        if word in kwargs:
            kwargs[ours] = kwargs.pop(word)


def reword(error, *call):
    """Raise the error that is being handled, in torch's words if it is one about the arguments of this call."""
    told = errors.in_torchs_words(error, *call)
    if told is None:
        raise                                      # `error`, which the caller is handling
    raise told from None


def as_method(function, only=False):
    """The function as a method: it takes numpy's words, and its errors count arguments as torch's methods do.

    Functions to which that makes no difference stay as they are, without a call in between.
    """
    code = function.__code__
    if code.co_argcount - len(function.__defaults__ or ()) < 2 and "dim" not in code.co_varnames:
        return function

    @functools.wraps(function)
    def method(*args, **kwargs):
        if kwargs:
            take_numpys_words(kwargs)
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError) as error:
            reword(error, function, args, True, only)
    return method


def taking_axis(function):
    """The function with numpy's words too."""
    @functools.wraps(function)
    def with_axis(*args, **kwargs):
        if kwargs:
            take_numpys_words(kwargs)
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError) as error:
            reword(error, function, args)
    return with_axis


def taking_out(function):
    """The function with torch's `out=`: the result is written into a given tensor (or tuple of tensors)."""
    @functools.wraps(function)
    def with_out(*args, out=None, **kwargs):
        if out is None:
            try:
                return function(*args, **kwargs)
            except (TypeError, AttributeError) as error:
                reword(error, function, args)
        made = function(*args, **kwargs)
        if isinstance(made, Tensor):
            return Tensor._write_out(out, made, function.__name__, args)
        if not isinstance(out, (tuple, list)):
            raise TypeError(f"{function.__name__}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}")
        if len(out) != len(made):
            raise TypeError(f"expected tuple of {len(made)} elements but got {len(out)}")
        written = [Tensor._write_out(o, m, function.__name__, args) for o, m in zip(out, made)]
        return type(made)(*written) if hasattr(made, "_fields") else type(made)(written)
    return with_out


def _reflect(target, function):
    general = target.call if isinstance(target, type) else function

    def reflected(self, other):
        other = plain_number(other)
        return general(other, self) if isinstance(other, (Tensor, bool, int, float)) else NotImplemented
    return reflected
