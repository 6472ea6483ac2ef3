"""Pickles of weights into objects, by an interpreter that can build nothing but data.

A pickle is a program. This machine knows 40-odd of its instructions, runs none of its own calls except those that the
given table of names allows, and checks what is handed to them. It knows nothing of files, tensors or torch.
Source: https://docs.python.org/3/library/pickletools.html, torch/_weights_only_unpickler.py
"""
from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from pickle import UnpicklingError
from struct import error as StructError, unpack_from

BLOCKED = ("sys", "os", "posix", "nt")             # not even a user may allow functions of these
DEEPEST = 1000                                     # no pickler writes deeper nests
ALLOWED_KEYS = (str, bytes, float, bool, type(None))
MAPPINGS, SEQUENCES = (dict, OrderedDict, Counter), (list, tuple, set)

_by_opcode = {}


def _op(*names):
    """Attach a method to one or more of pickle's instructions."""
    def attach(method):
        for name in names:
            _by_opcode[getattr(pickle, name)[0]] = method
        return method
    return attach


class Unpickler:
    """`known` maps full names to (what the name stands for, what a call of it runs or None).

    `trusted` maps the names that the user allows to classes and functions; those do whatever they do.
    """

    def __init__(self, data, known, trusted, persistent_load, keys=()):
        self.data, self.at, self.known, self.trusted = bytes(data), 0, known, trusted
        self.calls = {id(value): call for value, call in known.values() if call is not None}
        self.trusted_ids = {id(value) for value in trusted.values()}
        self.persistent_load, self.keys = persistent_load, (*ALLOWED_KEYS, *keys)
        self.stack, self.outer, self.memo = [], [], {}

    def load(self):
        """The object. Raises UnpicklingError whenever the pickle asks for something that weights don't need."""
        try:
            while True:
                opcode = self.take(1)[0]
                if opcode == pickle.STOP[0]:
                    result = self.pop()
                    if self.stack or self.outer:
                        raise UnpicklingError("the pickle is damaged (it stops in the middle)")
                    break
                method = _by_opcode.get(opcode)
                if method is None:
                    raise UnpicklingError(f"Unsupported operand {opcode}")
                method(self)
        except (IndexError, KeyError, StructError, UnicodeError) as error:
            raise UnpicklingError(f"the pickle is damaged ({type(error).__name__}: {error})") from None
        _check_depth(result)
        return result

    # ---- the program's bytes and the machine's stack
    def take(self, count):
        start = self.at
        self.at = start + count
        if self.at > len(self.data):
            raise UnpicklingError("the pickle ends in the middle of an instruction")
        return self.data[start:self.at]

    def number(self, form, size):
        return unpack_from(form, self.take(size))[0]

    def line(self):
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise UnpicklingError("the pickle ends in the middle of an instruction")
        found = self.data[self.at:end].decode("utf-8")
        self.at = end + 1
        return found

    def pop(self):
        return self.stack.pop()

    def push(self, value):
        self.stack.append(value)

    def pop_mark(self):
        items = self.stack
        self.stack = self.outer.pop()
        return items

    @_op("MARK")
    def mark(self):
        if len(self.outer) >= DEEPEST:
            raise UnpicklingError(f"nested more than {DEEPEST} deep")
        self.outer.append(self.stack)
        self.stack = []

    @_op("PROTO")
    def proto(self):
        if self.take(1)[0] > 5:
            raise UnpicklingError("unsupported pickle protocol")

    @_op("FRAME")
    def frame(self):
        self.take(8)                               # advice for readers of streams

    # ---- the memo
    @_op("BINPUT")
    def put(self):
        self.memo[self.take(1)[0]] = self.stack[-1]

    @_op("LONG_BINPUT")
    def put_far(self):
        self.memo[self.number("<I", 4)] = self.stack[-1]

    @_op("MEMOIZE")
    def memoize(self):
        self.memo[len(self.memo)] = self.stack[-1]

    @_op("BINGET")
    def get(self):
        self.push(self.memo[self.take(1)[0]])

    @_op("LONG_BINGET")
    def get_far(self):
        self.push(self.memo[self.number("<I", 4)])

    # ---- numbers and strings
    for _name, _value in (("NONE", None), ("NEWTRUE", True), ("NEWFALSE", False), ("EMPTY_TUPLE", ())):
        _op(_name)(lambda self, value=_value: self.push(value))
    for _name, _make in (("EMPTY_LIST", list), ("EMPTY_DICT", dict), ("EMPTY_SET", set)):
        _op(_name)(lambda self, make=_make: self.push(make()))
    for _name, _form, _size in (("BININT", "<i", 4), ("BININT1", "<B", 1), ("BININT2", "<H", 2), ("BINFLOAT", ">d", 8)):
        _op(_name)(lambda self, form=_form, size=_size: self.push(self.number(form, size)))
    for _name, _form, _size in (("BINUNICODE", "<I", 4), ("SHORT_BINUNICODE", "<B", 1)):
        _op(_name)(lambda self, form=_form, size=_size:
                   self.push(str(self.take(self.number(form, size)), "utf-8", "surrogatepass")))
    for _name, _form, _size in (("BINBYTES", "<I", 4), ("SHORT_BINBYTES", "<B", 1)):
        _op(_name)(lambda self, form=_form, size=_size: self.push(self.take(self.number(form, size))))
    _op("BYTEARRAY8")(lambda self: self.push(bytearray(self.take(self.number("<Q", 8)))))
    del _name, _value, _make, _form, _size

    @_op("SHORT_BINSTRING")
    def old_string(self):
        self.push(self.take(self.take(1)[0]).decode("utf-8"))

    @_op("LONG1")
    def long(self):
        self.push(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))

    # ---- containers
    @_op("TUPLE")
    def make_tuple(self):
        items = self.pop_mark()
        self.push(tuple(items))

    @_op("TUPLE1")
    def make_tuple1(self):
        self.push((self.pop(),))

    @_op("TUPLE2")
    def make_tuple2(self):
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    @_op("TUPLE3")
    def make_tuple3(self):
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    @_op("APPEND")
    def append(self):
        self._extend([self.pop()])

    @_op("APPENDS")
    def appends(self):
        self._extend(self.pop_mark())

    def _extend(self, items):
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(self.stack[-1])}")
        self.stack[-1].extend(items)

    @_op("ADDITEMS")
    def add_items(self):
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise UnpicklingError(f"Can only add to sets, but got {type(self.stack[-1])}")
        self.stack[-1].update(map(self.key, items))

    @_op("SETITEM")
    def set_item(self):
        value, key = self.pop(), self.pop()
        self._set_items("SETITEM", [key, value])

    @_op("SETITEMS")
    def set_items(self):
        self._set_items("SETITEMS", self.pop_mark())

    def _set_items(self, name, items):
        target = self.stack[-1]
        if type(target) not in MAPPINGS:
            raise UnpicklingError(f"Can only {name} for dict, collections.OrderedDict, collections.Counter, "
                                  f"but got {type(target)}")
        if len(items) % 2:
            raise UnpicklingError("a key without a value")
        for i in range(0, len(items), 2):
            target[self.key(items[i])] = items[i + 1]

    def key(self, key, depth=3):
        """`key`, if its type is harmless and its hash cheap: few bytes describe a tuple that takes years to hash."""
        kind = type(key)
        if kind is int and -2**63 <= key < 2**64 or kind in self.keys or id(kind) in self.trusted_ids:
            return key
        if issubclass(kind, tuple) and kind.__hash__ is tuple.__hash__ and depth and len(key) <= 100:
            for item in key:
                self.key(item, depth - 1)
            return key
        raise UnpicklingError(f"an object of {kind} is no key that weights need")

    # ---- names, calls, and objects of other classes
    @_op("GLOBAL")
    def global_(self):
        module, name = self.line(), self.line()
        if (module, name) in NAME_MAPPING:         # pickles of protocol 2 use the names of Python 2
            module, name = NAME_MAPPING[module, name]
        self._find(IMPORT_MAPPING.get(module, module), name)

    @_op("STACK_GLOBAL")
    def stack_global(self):
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("STACK_GLOBAL requires str")
        self._find(module, name)

    def _find(self, module, name):
        full = f"{module}.{name}"
        if module in BLOCKED:
            raise UnpicklingError(f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked.")
        if full in self.known:
            self.push(self.known[full][0])
        elif full in self.trusted:
            self.push(self.trusted[full])
        else:
            full = full.removeprefix("builtins.")
            raise UnpicklingError(
                f"Unsupported global: GLOBAL {full} was not an allowed global by default. Please use "
                f"`torch.serialization.add_safe_globals([{full}])` or the `torch.serialization.safe_globals([{full}])` "
                "context manager to allowlist this global if you trust this class/function.")

    @_op("BINPERSID")
    def persistent(self):
        pid = self.pop()
        if type(pid) is not tuple:
            raise UnpicklingError(f"persistent_load id must be tuple or int, but got {type(pid)}")
        self.push(self.persistent_load(pid))

    @_op("REDUCE")
    def reduce(self):
        args = self.pop()
        call = self.stack[-1]
        if type(args) is not tuple:
            raise UnpicklingError(f"the arguments of a call must be a tuple, but got {type(args)}")
        if id(call) in self.calls:
            self.stack[-1] = self.calls[id(call)](self, *self._fitting(self.calls[id(call)], args))
        elif id(call) in self.trusted_ids:
            self.stack[-1] = call(*args)
        else:
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {_told(call)}")

    def _fitting(self, call, args):
        most = call.__code__.co_argcount - 1
        if not most - len(call.__defaults__ or ()) <= len(args) <= most:
            raise UnpicklingError(f"{call.__name__} does not take {len(args)} arguments")
        return args

    @_op("NEWOBJ")
    def new_object(self):
        args, cls = self.pop(), self.pop()
        if id(cls) not in self.trusted_ids or not isinstance(cls, type):
            raise UnpicklingError("Can only create new object for nn.Parameter or classes allowlisted via "
                                  f"`add_safe_globals` but got {_told(cls)}")
        self.push(cls.__new__(cls, *args))

    @_op("BUILD")
    def build(self):
        state, target = self.pop(), self.stack[-1]
        kind = type(target)
        if kind is OrderedDict:                    # `_metadata` of a state_dict
            if type(state) is not dict or any(type(name) is not str or hasattr(OrderedDict, name) for name in state):
                raise UnpicklingError("an OrderedDict can't be given these attributes")
            target.__dict__.update(state)
        elif id(kind) in self.trusted_ids:
            _set_state(target, state)
        else:
            raise UnpicklingError("Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                                  f"`add_safe_globals`, but got {kind}")


def _told(value):
    """What to call a value in an error: it may be too deep, or too long, to be printed."""
    return value if callable(value) else f"an object of {type(value)}"


def _set_state(target, state):
    """What pickle does for an object of a class that the user trusts."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    state, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    if state:
        target.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


def _check_depth(result):
    """Refuse what is nested so deeply that printing, comparing or hashing it would overflow the stack."""
    level, seen, depth = [result], set(), 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise UnpicklingError(f"nested more than {DEEPEST} deep")
        below = []
        for item in level:
            for child in item.values() if type(item) in MAPPINGS else item if type(item) in SEQUENCES else ():
                if type(child) in MAPPINGS + SEQUENCES and id(child) not in seen:
                    seen.add(id(child))
                    below.append(child)
        level = below
