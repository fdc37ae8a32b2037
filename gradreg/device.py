"""Where to compute."""

import argparse
import ctypes

import torch

CPU = torch.device("cpu")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**25  # bytes; the C library takes no higher threshold


def wait_for(device: torch.device) -> None:
    """Return once all that was asked of a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def choose(name: str) -> torch.device:
    """The device for "auto" (a GPU where there is one), "cpu" or "cuda"; on a CPU, one thread.

    Parallelism on a CPU comes from jobs, and the process keeps the memory that it frees. Raises ValueError for another
    name, and for "cuda" where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {name} is none of auto, cpu, cuda")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device: cuda is asked for, but PyTorch finds no usable GPU; use device: auto or cpu")
    if name == "cpu" or not available:
        torch.set_num_threads(1)
        _keep_memory()
        return CPU
    torch.backends.cudnn.allow_tf32 = False  # as products are; training may ask for it
    return torch.device("cuda")


def argument(name: str) -> torch.device:
    """``choose`` as the type of a command's argument: what is wrong becomes the command's one-line error."""
    try:
        return choose(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _keep_memory() -> None:
    """Have the C library keep what is freed for what is asked for next, where it can be told to (glibc, mallopt(3)).

    Otherwise tensors of a step go back to the system, and those of the next come page by page: up to a quarter of a
    step's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, -1)
