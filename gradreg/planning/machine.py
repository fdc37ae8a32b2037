"""The machine and the code that results come from."""

import platform
import subprocess
from pathlib import Path


def processor() -> tuple[str, set[str]]:
    """The name of the processor, and its extensions, such as avx512_bf16; these are known on Linux only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor(), set()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return values.get("model name", platform.processor()), set(values.get("flags", "").split())


def commit() -> str:
    """The commit of the working tree, "+" when it is edited; "unknown" outside git."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        here = Path(__file__).parent
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=here).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
