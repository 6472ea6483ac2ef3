"""Objects into pickles that torch understands: our tensors, dtypes, devices and shapes get torch's names.

It knows how torch spells what it pickles, and nothing of files.
"""
from __future__ import annotations

import io
import pickle
from collections import OrderedDict

from ..backends import device
from ..core import dtypes
from ..core.layout import Size
from ..core.storage import Storage
from ..core.tensor import Tensor, host_of
from ..nn.parameter import Parameter
from ..storage import UntypedStorage, is_storage


class _Name:
    """Stands for something of torch's, which need not be installed: it is pickled as its name."""
    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise NotImplementedError("only its name is of interest")


_names = {}


def _torch(name, module="torch"):
    found = _names.get((module, name))
    if found is None:                              # one object per name: a pickle spells it out once
        found = _names[module, name] = _Name(module, name)
    return found


class Pickler(pickle._Pickler):
    """Python's own pickler, in Python: the one in C insists on importing what it names.

    `storages` collects {key: Storage}, in the order in which they were met.
    """

    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages, self._keys, self._types = {}, {}, {}

    def persistent_id(self, obj):
        if is_storage(obj):
            if type(obj) is UntypedStorage:
                return ("storage", _torch("UntypedStorage", "torch.storage"), *self._record(obj._storage, dtypes.uint8))
            return self.persistent_id(obj._numbers()._storage)
        if not isinstance(obj, Storage):
            return None
        return ("storage", _torch(f"{obj.dtype.legacy_name}Storage"), *self._record(obj, obj.dtype))

    def _record(self, obj, dtype):
        """(key, device, count) of the record for a storage."""
        key = self._keys.get(id(obj.buffer))       # `x.data` and x have two Storages and one buffer
        if key is None:
            key = self._keys[id(obj.buffer)] = str(len(self._keys))
            self.storages[key] = obj
        count = obj.count() * obj.dtype.itemsize // dtype.itemsize
        if count:
            memory = obj.buffer.__array_interface__["data"][0] if obj.backend.native else id(obj.buffer)
            if self._types.setdefault(memory, dtype) is not dtype:
                raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different "
                                   "types")
        return key, str(obj.backend.device), count

    def reducer_override(self, obj):
        kind = type(obj)
        if kind is Parameter:
            extras = (state,) if (state := obj._extras()) else ()
            name = "_rebuild_parameter_with_state" if extras else "_rebuild_parameter"
            return _torch(name, "torch._utils"), (obj.data, obj.requires_grad, OrderedDict(), *extras)
        if issubclass(kind, Tensor):
            spec = obj._spec
            if spec.names is not None:
                raise RuntimeError("NYI: Named tensors don't support serialization. Please drop names via "
                                   "`tensor = tensor.rename(None)` before serialization.")
            made = _torch("_rebuild_tensor_v2", "torch._utils"), (
                obj._storage, obj._offset, (*spec.shape,), (*spec.strides,), obj.requires_grad, OrderedDict())
            if extras := obj._extras():
                return _torch("_rebuild_from_type_v2", "torch._tensor"), (made[0], _torch("Tensor"), made[1], extras)
            return made
        if kind is Size:
            return _torch("Size"), (tuple(obj),)
        if kind is device:
            return _torch("device"), (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is _Name or kind is dtypes.dtype:
            return "a name"                        # `save_global` takes it from here
        return NotImplemented

    def save_global(self, obj, name=None):
        if type(obj) is dtypes.dtype:
            module, name = "torch", obj.name
        elif type(obj) is _Name:
            module, name = obj.module, obj.name
        else:
            super().save_global(obj, name)
            return
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii"))
        self.memoize(obj)


def dumps(obj, protocol):
    """(pickle of obj, {key: Storage})."""
    out = io.BytesIO()
    pickler = Pickler(out, protocol)
    try:
        pickler.dump(obj)
    except RecursionError:
        raise RecursionError("the object is nested too deeply to be pickled") from None
    return out.getvalue(), pickler.storages


def bytes_of(storage):
    """The numbers of a storage, as they lie in memory."""
    return memoryview(host_of(storage).view("uint8"))
