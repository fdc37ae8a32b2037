"""Where to compute: the device, and which of several GPUs."""

import argparse
import ctypes
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import torch

CPU = torch.device("cpu")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**25  # bytes; the C library takes no higher threshold
PLACES: list[IO[str]] = []  # locked as long as this process lives


def wait_for(device: torch.device) -> None:
    """Return once all that was asked of a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def choose(name: str) -> torch.device:
    """The device for "auto" (a GPU where there is one), "cpu" or "cuda"; on a CPU, one thread.

    Of several GPUs one is reserved. Parallelism on a CPU comes from jobs, and the process keeps the memory that it
    frees. Raises ValueError for another name, and for "cuda" where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {name} is none of auto, cpu, cuda")
    if name != "cpu":
        reserve_gpu()
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device: cuda is asked for, but PyTorch finds no usable GPU; use device: auto or cpu")
    if name == "cpu" or not available:
        torch.set_num_threads(1)
        _keep_memory()
        return CPU
    torch.backends.cudnn.allow_tf32 = False  # as products are; training may ask for it
    return torch.device("cuda")


def reserve_gpu() -> None:
    """Where several GPUs are visible, leave this process only the one on which the fewest of this user's jobs run.

    A place on a GPU is a locked file, which the kernel frees however the process ends. To be called before the first
    use of CUDA.
    """
    gpus = _visible_gpus()
    if len(gpus) < 2:
        return
    folder = Path(tempfile.gettempdir()) / f"gradreg-gpus-{os.getuid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "choosing").open("w") as choosing:
            fcntl.flock(choosing, fcntl.LOCK_EX)
            gpu = min(gpus, key=lambda gpu: _places_taken(folder, gpu))
            place = next(file for i in range(1, 10**6) if (file := _lock(folder / f"{gpu}.{i}")))
    except OSError as error:
        print(f"no GPU is reserved for this job: {error.filename}: {error.strerror}", flush=True)
        return
    PLACES.append(place)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    print(f"on GPU {gpu}, place {Path(place.name).suffix[1:]}", flush=True)


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use: their numbers or identifiers."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return []
        names = ",".join(answer.split())
    return [name for name in names.split(",") if name]


def _places_taken(folder: Path, gpu: str) -> int:
    """The number of jobs on a GPU."""
    files = [_lock(file) for file in folder.glob(f"{gpu}.*")]
    for file in files:
        if file:
            file.close()
    return files.count(None)


def _lock(path: Path) -> IO[str] | None:
    """The file, locked, to be kept open; None where another process has locked it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


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
