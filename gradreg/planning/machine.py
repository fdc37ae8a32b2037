"""The machine that results come from."""

import platform
from pathlib import Path


def processor() -> tuple[str, set[str]]:
    """The name of the processor, and its extensions, such as avx512_bf16; these are known on Linux only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor(), set()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return values.get("model name", platform.processor()), set(values.get("flags", "").split())
