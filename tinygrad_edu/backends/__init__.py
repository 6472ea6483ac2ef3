"""What a backend must offer, and which there are.

A backend is memory and four verbs. It sees its own arrays, shapes and dtypes; it knows nothing of tensors or gradients.
"""
from __future__ import annotations

import importlib
from typing import Protocol


class device:
    """Where a tensor's memory is: `device("cpu")`, `device("cuda", 1)`, `device("cuda:1")`."""
    __slots__ = ("type", "index")

    def __new__(cls, type="cpu", index=None):
        if isinstance(type, device):
            return type
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}")
        if ":" in type:
            if index is not None:
                raise RuntimeError("type (string) must not include an index because index was passed explicitly: "
                                   f"{type}")
            type, _, number = type.partition(":")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{number}'")
            index = int(number)
        if not type:
            raise RuntimeError("Device string must not be empty")
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        if type not in KNOWN and type not in _backends:
            if not type.replace("_", "").isalpha():
                raise RuntimeError(f"Invalid device string: '{type}'")
            raise RuntimeError(f"Expected one of {', '.join(KNOWN)} device type at start of device string: {type}")
        self = object.__new__(cls)
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "index", index)
        return self

    def __setattr__(self, name, value):
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self):
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __enter__(self):
        """`with torch.device("cuda"):` functions that create tensors do it there, unless told otherwise."""
        get_backend(self)
        _default.append(self)
        return self

    def __exit__(self, *error):
        _default.pop()

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return device, (self.type, self.index)


_device = device                                   # under this name where an argument is called `device`


class Backend(Protocol):
    """Arrays are the backend's own: whatever `as_array` returns and its verbs accept.

    `native` says that its arrays are numpy's, so that ops may call their numpy program directly. `untyped` (optional)
    says that `as_array` may read a buffer as another dtype than it was made for: then view(dtype) works.
    """
    device: device
    native: bool

    def empty(self, count, dtype): ...                          # -> flat buffer
    def from_numpy(self, array, dtype): ...                     # -> flat buffer holding array's elements in order
    def to_numpy(self, array): ...                              # -> np.ndarray
    def as_array(self, buffer, shape, strides, offset, dtype): ...
    def buffer_of(self, array): ...                             # fresh result -> its flat buffer
    def layout_of(self, array): ...                             # fresh result -> (shape, strides, dtype)
    def copy(self, target, source): ...                         # write source (broadcast, cast) into target
    def fill(self, target, value): ...
    def cast(self, array, dtype): ...
    def synchronize(self): ...

    def elementwise(self, op, arrays, params, shape, dtype): ...    # one scalar function, every element
    def reduce(self, op, array, dims, keepdim, dtype, params): ...  # many become one
    def matmul(self, a, b): ...                                     # batched
    def run(self, op, arrays, params): ...                          # an op with a program of its own
    # def program(self, name): ...      optional: the kernel program that an op names as its `cuda` ("softmax.softmax")


KNOWN = ("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
         "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone")        # torch's device types; most have no backend
_backends = {}
_default = []                                      # where tensors are created, innermost last; nothing: on the CPU


def set_default_device(device):
    """Create tensors there from now on, unless told otherwise; None is the CPU."""
    where = None if device is None else _device(device)
    get_backend(where)                             # it has to exist
    _default[:] = [] if where is None else [where]


def get_default_device():
    """Where tensors are created that nobody places."""
    return get_backend(creating(None)).device if _default else device("cpu")


def creating(where):
    """The device for a new tensor: where it is asked for, or else the default one."""
    return _default[-1] if where is None and _default else where


def register_backend(backend):
    """Make `device=...` mean this backend. Its `device` is a name, which need not be one of torch's, or a device."""
    name = str(backend.device)
    _backends[name] = backend                      # from now on the name is a device type
    backend.device = device(name)
    return backend


def unregister_backend(type):
    """Forget a registered backend (tensors on it go on working)."""
    if type == "cpu":
        raise ValueError("the CPU backend can't be removed")
    _backends.pop(type, None)


def get_backend(where):
    """The backend for a device, a device string, or None (the CPU)."""
    if where is None:
        return _backends["cpu"]
    if not isinstance(where, device):
        if isinstance(where, str) and where in _backends:
            return _backends[where]
        where = device(where)
    found = _backends.get(where.type) or (find_cuda() if where.type == "cuda" else None)
    if found is None and where.type != "cuda":
        raise NotImplementedError(f"PyTorch is not linked with support for {where.type} devices\n"
                                  f"tinygrad_edu has no backend for {where.type}. Use device='cpu'.")
    if found is None:
        raise AssertionError(
            "Torch not compiled with CUDA enabled\n"
            "This machine has no GPU that numba.cuda can use. Two ways out: leave the tensors on the CPU "
            "(device='cpu'), or run the same kernels on the simulator: set TINYGRAD_EDU_CUDA=simulator before the "
            "program starts, or call tinygrad_edu.cuda.use_simulator() in it.")
    if where.index is not None and where.index >= getattr(found, "count", where.index + 1):
        raise RuntimeError("CUDA error: invalid device ordinal\n"
                           f"There is {found.count} {where.type} device here, {where.type}:0; {where} doesn't exist.")
    return found


def find_cuda():
    """The CUDA backend, looked for when it is first asked for: a GPU, or the simulator if the environment says so."""
    if "cuda" not in _backends:
        cuda = importlib.import_module(".cuda", __name__)
        backend = cuda.find()
        if backend is None:
            return None
        cuda.use(backend)
    return _backends["cuda"]


from . import cpu  # noqa: E402  (it registers itself, so it comes after the registry)

CPU = cpu.CPU


def __getattr__(name):
    """torch.backends.cudnn and its like: switches that programs set."""
    if name == "cuda":
        return importlib.import_module(".cuda", __name__)
    if name in ("cudnn", "mps", "mkl", "openmp"):
        return getattr(importlib.import_module(".switches", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
