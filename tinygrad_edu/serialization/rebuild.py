"""What a file of torch's may name, and what is built for it: tensors, parameters, shapes, dtypes, devices.

Each function checks what it is handed as if an enemy had written it: no view may leave its storage.
"""
from __future__ import annotations

import contextlib
import functools
import importlib
import io
import sys
from collections import Counter, OrderedDict
from pickle import UnpicklingError

from .. import backends
from ..backends import device
from ..core import dtypes, layout
from ..core.layout import Size
from ..core.storage import Storage
from ..core.tensor import Tensor, from_storage, host_of
from ..nn.parameter import Parameter
from ..storage import TypedStorage, UntypedStorage
from .archive import corrupt

KEYS = (Tensor, Parameter, dtypes.dtype, device)   # besides numbers and strings, what a dict may have as keys


# ---- calls that a restricted pickle may make: `self` is the unpickler
def rebuild_tensor_v2(self, storage, offset, size, stride, requires_grad, hooks, metadata=None):
    integers = (offset, *size, *stride) if _is_tuple(size) and _is_tuple(stride) else ()
    if (type(storage) is not TypedStorage or not integers or any(type(n) is not int or n < 0 for n in integers)
            or len(size) != len(stride) or type(requires_grad) is not bool):
        raise UnpicklingError("a tensor is described in a way that makes no sense")
    if metadata:
        raise UnpicklingError("tensors with metadata (conjugated or negative views) are not supported")
    storage, shape = storage._storage, tuple(size)
    count = storage.count()
    if offset > count or layout.extent(shape, stride, offset) > count:
        raise RuntimeError("Trying to resize storage that is not resizable\n"
                           f"sizes {list(size)}, strides {list(stride)}, storage offset {offset} need more than the "
                           f"{count} elements of the storage")
    try:
        out = from_storage(storage, shape, tuple(stride), offset)
    except (ValueError, OverflowError, MemoryError) as error:
        raise UnpicklingError(f"a tensor of shape {list(size)} is too large: {error}") from None
    out.requires_grad = requires_grad
    return out


def _is_tuple(value):
    return type(value) in (tuple, Size)


def rebuild_parameter(self, data, requires_grad, hooks):
    if type(data) is not Tensor or type(requires_grad) is not bool:
        raise UnpicklingError("a parameter is described in a way that makes no sense")
    return Parameter(data, requires_grad)


def rebuild_parameter_with_state(self, data, requires_grad, hooks, state):
    return _with_attributes(rebuild_parameter(self, data, requires_grad, hooks), state)


def rebuild_from_type_v2(self, function, kind, args, state):
    call = self.calls.get(id(function))
    if call not in (rebuild_tensor_v2, rebuild_parameter) or kind not in (Tensor, Parameter) or type(args) is not tuple:
        raise UnpicklingError("a tensor of a class of its own can't be loaded")
    return _with_attributes(call(self, *self._fitting(call, args)), state)


def _with_attributes(tensor, state):
    if type(state) is not dict or any(type(name) is not str or name.startswith("_") or hasattr(Tensor, name)
                                      for name in state):
        raise UnpicklingError("a tensor can't be given these attributes")
    tensor.__dict__.update(state)
    return tensor


def size(self, dims=()):
    if not isinstance(dims, (tuple, list)) or any(type(n) is not int for n in dims):
        raise UnpicklingError("a torch.Size is made of ints")
    return Size(dims)


def make_device(self, type, index=None):
    try:
        return device(type, index)
    except (TypeError, RuntimeError) as error:
        raise UnpicklingError(str(error)) from None


def ordered_dict(self, pairs=()):
    out = OrderedDict()
    for pair in pairs if type(pairs) in (list, tuple) else _refused(pairs):
        key, value = pair if type(pair) in (list, tuple) and len(pair) == 2 else _refused(pair)
        out[self.key(key)] = value
    return out


def counter(self, counts=()):
    if type(counts) is not dict:
        return Counter() if counts == () else _refused(counts)
    return Counter(counts)


def make_set(self, items=()):
    return {self.key(item) for item in (items if type(items) in (list, tuple) else _refused(items))}


def make_bytearray(self, text="", codec="latin-1"):
    return bytearray(text if type(text) is bytes else encode(self, text, codec))


def encode(self, text, codec="latin1"):
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        _refused(text)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UnpicklingError(str(error)) from None


def make_complex(self, real=0.0, imag=0.0):
    return complex(real, imag) if type(real) is type(imag) is float else _refused(real)


def _refused(value):
    raise UnpicklingError(f"an object of {type(value)} doesn't belong here")


class StorageType:
    """What `torch.FloatStorage` stands for in a file."""
    def __init__(self, dtype):
        self.dtype = dtype


class _Unsupported:
    """A dtype of torch's that there is none for here."""
    def __init__(self, name):
        self.name = name


def known():
    """{full name: (what it stands for, what a call of it runs)} of everything that weights may name."""
    table = {
        "collections.OrderedDict": (OrderedDict, ordered_dict),
        "collections.Counter": (Counter, counter),
        "torch.nn.parameter.Parameter": (Parameter, None),
        "torch.Tensor": (Tensor, None),
        "torch.Size": (Size, size),
        "torch.device": (device, make_device),
        "_codecs.encode": (encode, encode),
        "builtins.bytearray": (bytearray, make_bytearray),
        "builtins.set": (set, make_set),
        "builtins.complex": (complex, make_complex),
        "torch._utils._rebuild_tensor_v2": (rebuild_tensor_v2, rebuild_tensor_v2),
        "torch._utils._rebuild_parameter": (rebuild_parameter, rebuild_parameter),
        "torch._utils._rebuild_parameter_with_state": (rebuild_parameter_with_state, rebuild_parameter_with_state),
        "torch._tensor._rebuild_from_type_v2": (rebuild_from_type_v2, rebuild_from_type_v2),
    }
    with contextlib.suppress(ImportError):
        dtypes.bfloat16()                          # is one of DTYPES from now on
    for dtype in dtypes.DTYPES.values():
        table[f"torch.{dtype.name}"] = dtype, None
        table[f"torch.{dtype.legacy_name}Storage"] = StorageType(dtype), None
    table["torch.storage.UntypedStorage"] = StorageType(dtypes.uint8), None
    for name in ("BFloat16", "ComplexDouble", "ComplexFloat", "QUInt8", "QInt8", "QInt32", "QUInt4x2", "QUInt2x4"):
        table.setdefault(f"torch.{name}Storage", (_Unsupported(name), None))
    return table


# ---- storages
class Storages:
    """Makes the storages that a pickle asks for out of the file's records, each of them once."""

    def __init__(self, records, map_location):
        self.records, self.map_location, self.made = records, map_location, {}
        order = bytes(records.get("byteorder", b"little")).decode("ascii", "replace")
        if order not in ("little", "big"):
            raise ValueError(f"Unknown endianness type: {order}")
        self.order = order

    def persistent_load(self, pid):
        if len(pid) != 5 or pid[0] != "storage":
            raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {type(pid[0]) if pid else pid}")
        _, kind, key, location, count = pid
        if isinstance(kind, _Unsupported):
            raise UnpicklingError(f"tensors of torch's type {kind.name} are not supported"
                                  + (': pip install "tinygrad_edu[io]"' if kind.name == "BFloat16" else ""))
        if type(kind) is not StorageType or type(key) is not str or type(location) is not str or type(count) is not int:
            raise UnpicklingError("a storage is described in a way that makes no sense")
        if key not in self.made:
            self.made[key] = pid, self._make(kind.dtype, key, location, count)
        before, made = self.made[key]
        if before != pid:
            raise UnpicklingError(f"storage {key} is described in two ways")
        return made

    def _make(self, dtype, key, location, count):
        data = self.records.get(f"data/{key}")
        if data is None:
            raise corrupt(f"locating file data/{key}: file not found")
        if len(data) != count * dtype.itemsize:
            raise RuntimeError(f"record size ({len(data)} bytes) does not match expected size "
                               f"({count * dtype.itemsize} bytes = {count} elements * {dtype.itemsize} bytes/element) "
                               f"for dtype {dtype.legacy_name}")
        if dtype is dtypes.bool_:
            data = data != 0                       # a bool with another bit pattern would be neither true nor false
        host = data.view(dtype.numpy)
        if self.order != sys.byteorder:
            host = host.byteswap()
        placed = self._placed(UntypedStorage(Storage(host, backends.CPU, dtype)), location)
        return TypedStorage(wrap_storage=placed, dtype=dtype, _internal=True)

    def _placed(self, storage, location):
        """The storage on the device that `map_location`, or else the file, asks for."""
        wanted = self.map_location
        if isinstance(wanted, dict):
            location = wanted.get(location, location)
        elif isinstance(wanted, (str, bytes, device)):
            location = wanted.decode("ascii") if isinstance(wanted, bytes) else wanted
        elif wanted is not None:
            found = wanted(storage, location)
            if found is not None:
                if not isinstance(found, UntypedStorage):
                    raise TypeError(f"map_location must return an UntypedStorage or None, but got {type(found)}")
                if found._storage.dtype is not storage._storage.dtype or len(found) != len(storage):
                    raise TypeError("map_location must return the storage that it was given, here or on another device")
                return found
        return UntypedStorage(moved(storage._storage, str(location)))


def moved(storage, location):
    """A storage on the device called `location`; torch's errors for devices that aren't there."""
    kind = location.partition(":")[0]
    if kind == "cuda":
        found, index = backends.find_cuda(), device(location).index or 0
        if found is None:
            raise RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
                               "False. If you are running on a CPU-only machine, please use torch.load with "
                               "map_location=torch.device('cpu') to map your storages to the CPU.")
        if index >= found.count:
            raise RuntimeError(f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() "
                               f"is {found.count}. Please use torch.load with map_location to map your storages to an "
                               "existing device.")
    elif kind not in backends._backends:
        raise RuntimeError("don't know how to restore data location of torch.storage.UntypedStorage "
                           f"(tagged with {location})")
    backend = backends.get_backend(location)
    if backend is storage.backend:
        return storage
    return Storage(backend.from_numpy(host_of(storage), storage.dtype), backend, storage.dtype)


# ---- pickles that may run whatever they name
def unrestricted(base, data, storages, arguments):
    """The object in a pickle that is trusted: classes are imported, torch's as ours of the same name."""
    table = known()

    class Trusting(base):
        def find_class(self, module, name):
            full = f"{module}.{name}"
            if full in table and module.startswith("torch"):
                value, call = table[full]
                if call is None or isinstance(value, type):
                    return value
                value = self.named.setdefault(full, functools.partial(call, self))
                self.calls[id(value)] = call
                return value
            if module == "torch" or module.startswith("torch."):
                return ours(module, name)
            return super().find_class(module, name)

        def persistent_load(self, pid):
            return storages.persistent_load(pid)

        _fitting = staticmethod(lambda call, args: args)

    reader = Trusting(io.BytesIO(data), **arguments)
    reader.named, reader.calls = {}, {}
    return reader.load()


def ours(module, name):
    """Our class for one of torch's, which may live in a file of another name: torch.nn.modules.linear.Linear."""
    path = ["tinygrad_edu", *module.split(".")[1:]]
    while path:
        try:
            found = importlib.import_module(".".join(path))
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (ImportError, AttributeError):
            path.pop()
    raise UnpicklingError(f"the file needs {module}.{name}, and tinygrad_edu has nothing of that name")
