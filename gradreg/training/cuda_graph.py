"""A step on a GPU, recorded once as a CUDA graph and then replayed, without Python between its kernels."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

WARM = 3  # steps before the recording: they load kernels and make buffers
Given = Mapping[str, Tensor | float]
Step = Callable[[Given, float], None]


class Recorded:
    """``step(given, key)``, which changes tensors in place, as fast as the device can run it.

    On a GPU the first WARM calls run it as it is; then it is recorded on copies of what it is given, numbers as scalar
    tensors, and from there on a call fills the copies and replays the recording. Beside what it is given, it may depend
    on ``key`` only; where that changes, it is recorded anew. Where recording fails, the step is run as it is, and
    ``say`` is told why, once. On a CPU the step always runs as it is.
    """

    def __init__(self, step: Step, device: torch.device, say: Callable[[str], None]) -> None:
        self.step, self.device, self.say = step, device, say
        self.usable = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if self.usable else None
        self.calls = 0
        self.key: float | None = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.given: dict[str, Tensor] = {}

    def __call__(self, given: Given, key: float) -> None:
        """Make one step."""
        self.calls += 1
        if self.usable and self.calls > WARM and (self.graph is None or key != self.key):
            self._record(given, key)
        if self.graph is not None:
            for name, value in given.items():
                self.given[name].copy_(value) if isinstance(value, Tensor) else self.given[name].fill_(value)
            self.graph.replay()
        elif self.stream is not None and self.usable:
            # Libraries set up what they need per stream, which must not happen while recording.
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self.step(given, key)
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            self.step(given, key)

    def _record(self, given: Given, key: float) -> None:
        self.graph, self.key = None, key
        self.given = {
            name: value.clone() if isinstance(value, Tensor) else torch.full((), value, device=self.device)
            for name, value in given.items()
        }
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.step(self.given, key)
        except RuntimeError as error:
            self.usable = False
            self.say(f"steps are not recorded: {str(error).splitlines()[0]}")
            return
        if self.calls == WARM + 1:
            self.say("steps are recorded as a CUDA graph")
        self.graph = graph
