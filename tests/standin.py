"""A device that stands in for a GPU: its tensors say that they lie on it, and are computed on the CPU.

As on a GPU, an operation on tensors of two devices fails, unless those of the CPU are numbers, and so does one that
draws from a generator of another device. What works here on every path has no such fault; kernels, streams and
memory are not tried.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "standin"
_setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME, 0)
CPU = torch.device("cpu")
BETWEEN = ("_to_copy", "copy_")  # operations that may take tensors of two devices


class OnDevice(torch.Tensor):
    """A tensor on the device; ``inner`` is where its numbers are."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        result = torch.Tensor._make_wrapper_subclass(cls, inner.shape, device=DEVICE, **layout)
        result.inner = inner
        return result

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})

    def tolist(self):
        return self.inner.tolist()


REAL_GENERATOR = torch.Generator
OF_DEVICE = {}  # generators by what they are in C++: Python makes a new object of it at each call


class Generator(torch.Generator):
    """In place of ``torch.Generator``: one of the device has the numbers of one on the CPU."""

    device = DEVICE

    def __new__(cls, device=CPU):
        if torch.device(device).type != NAME:
            return REAL_GENERATOR(device)
        made = super().__new__(cls)
        OF_DEVICE[made._cdata] = made
        return made


def empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def copy_from(source, target, non_blocking=False):
    target.inner.copy_(source)
    return target


LIBRARY = torch.library.Library("aten", "IMPL")  # what torch.tensor asks of a device, past all modes
LIBRARY.impl("empty_strided", empty_strided, "PrivateUse1")
LIBRARY.impl("_copy_from", copy_from, "PrivateUse1")


class StandIn(TorchDispatchMode):
    """Within it, tensors can be made on the device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


def run(operation, args, kwargs):
    """The result of an operation, on the device where its tensors, or the place that it names, are."""
    leaves, name = tree_leaves((args, kwargs)), operation.overloadpacket.__name__
    here = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
    away = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice) and leaf.dim()]
    asked = kwargs.get("device")
    on_device = bool(here) if asked is None else torch.device(asked).type == NAME
    if here and away and name not in BETWEEN:
        raise RuntimeError(f"{operation}: tensors on {DEVICE} and on the CPU")
    for leaf in leaves:
        if isinstance(leaf, REAL_GENERATOR) and (leaf._cdata in OF_DEVICE) != on_device:
            raise RuntimeError(f"{operation}: a generator of another device")
    result = operation(*tree_map(_inside, args), **tree_map(_inside, kwargs))
    of_inner = {id(leaf.inner): leaf for leaf in here}

    def outside(value):
        if not isinstance(value, torch.Tensor):
            return value
        known = of_inner.get(id(value))  # an operation in place gives the tensor it was given
        return known if known is not None else OnDevice(value) if on_device else value

    return args[0] if name == "copy_" else tree_map(outside, result)


def _inside(value):
    if isinstance(value, OnDevice):
        return value.inner
    return CPU if isinstance(value, torch.device) and value.type == NAME else value
