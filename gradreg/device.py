"""Where to compute."""

import torch


def choose(name: str) -> torch.device:
    """The device for "auto" (a GPU where there is one), "cpu" or "cuda"; on a CPU, one thread.

    Parallelism on a CPU comes from jobs. Raises ValueError for "cuda" where there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device: cuda is asked for, but PyTorch finds no usable GPU; use device: auto or cpu")
    if name == "cpu" or not available:
        torch.set_num_threads(1)
        return torch.device("cpu")
    return torch.device("cuda")
