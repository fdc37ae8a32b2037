"""What holds for every network: of its parts when it is built, of its answers on a few images before it is trained."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from gradreg.models.checkpoint import build
from gradreg.planning.specs import ModelSpec

TRAINED_HERE = (
    "; take smaller initial weights",
    "; for dropout use gradreg.models.layers.Dropout, whose masks are drawn outside the network",
)
NO_GRADIENT = "its answers have no gradient for the images"
MANY = 500  # images that evaluation gives a network at once
ANSWER = 1e-3  # by how much of its size a logit may change with the other images of a batch, by rounding


def check_parts(kind: str, module: nn.Module) -> None:
    """Raise ValueError, with the reason, unless all tensors of a network are float32 parameters under one name each."""
    for fault in _faults_of_parts(module):
        raise ValueError(f"model of kind {kind}: {fault}")


def check_answers(spec: ModelSpec, x: Tensor, classes: int) -> None:
    """Raise ValueError, with the reason, for a network that could not be trained, saved or attacked rightly.

    x: a few images (N, C, H, W). Its answers must be finite logits (N, classes), equal whenever they are asked for, in
    training and in evaluation mode and after loading; an image's answer must not depend on the others of its batch.
    Answers must depend on every parameter and on the images.
    """
    module = build(spec, x.shape[1:], classes, torch.Generator().manual_seed(1))
    for fault in _faults_of_answers(module, spec, x, classes):
        raise ValueError(f"model of kind {spec.kind}: {fault}")


def check_given(network: nn.Module, x: Tensor, classes: int) -> None:
    """Raise ValueError, with the reason, for a network from a file that could not be attacked rightly.

    x: a few images (N, C, H, W). Its answers must be as ``check_answers`` asks, apart from training and loading, and it
    must take one image, and as many as are evaluated at once.
    """

    def answer(to: Tensor, seed: int) -> Tensor:
        torch.manual_seed(seed)
        logits: Tensor = network(to)
        return logits

    with torch.random.fork_rng(devices=[]):
        fault, count = None, len(x)
        try:
            fault = next(_faults_of_logits(answer, x, classes), None)
            slope = _slope(answer, x)
            if slope is not None and not slope.any():  # as of answers that are rounded
                fault = fault or NO_GRADIENT
            if slope is not None and not slope.isfinite().all():
                fault = fault or "the gradient of its answers for the images is not finite"
            for count in (1, MANY):
                answer(x.repeat(-(-count // len(x)), 1, 1, 1)[:count], 0)
        except Exception as error:  # of somebody else's network
            fault = fault or f"it cannot answer {count} images: {(str(error) or repr(error)).splitlines()[0]}"
    if fault:
        raise ValueError(fault)


def _faults_of_parts(module: nn.Module) -> Iterator[str]:
    named = dict(module.named_parameters(remove_duplicate=False))
    names: dict[int, str] = {}
    for name, value in named.items():
        if names.setdefault(id(value), name) != name:
            yield f"{names[id(value)]} and {name} are one parameter; shared weights are not supported"
        if not value.requires_grad:
            yield f"{name} has requires_grad = False; frozen parameters are not supported"
        if value.dtype != torch.float32:
            yield f"{name} is of {str(value.dtype).removeprefix('torch.')}; parameters must be float32"
    if not named:
        yield "there is nothing to train: no parameters"
    for name, _ in module.named_buffers():
        yield (
            f"{name} is a buffer; batch normalisation and other layers by which an image's loss depends on other "
            "images are not supported"
        )
    for name, layer in module.named_modules():
        for key, kept in vars(layer).items():
            if isinstance(kept, Tensor):
                where = f"{name}.{key}" if name else key
                yield f"the tensor {where} is no parameter: it would be neither saved nor moved to a device"


def _faults_of_answers(module: nn.Module, spec: ModelSpec, x: Tensor, classes: int) -> Iterator[str]:
    parameters: dict[str, Tensor] = dict(module.named_parameters())

    def answer(to: Tensor, seed: int, network: nn.Module = module) -> Tensor:
        torch.manual_seed(seed)
        logits: Tensor = functional_call(network, parameters, (to,))
        return logits

    with torch.random.fork_rng(devices=[]):
        yield from _faults_of_logits(answer, x, classes, TRAINED_HERE)
        logits = answer(x, 0)
        if not torch.equal(logits, answer(x, 0, module.eval())):
            yield "it answers otherwise in evaluation mode than in training mode"
        try:  # as loading does it
            with torch.device("meta"):
                loaded = build(spec, x.shape[1:], classes).eval()
            loaded.load_state_dict({name: value.detach() for name, value in parameters.items()}, assign=True)
        except RuntimeError as error:
            yield f"it cannot be built without values for its tensors, as loading does: {str(error).splitlines()[0]}"
            return
        with torch.no_grad():
            if not torch.equal(logits, loaded(x)):
                yield "it answers otherwise once saved and loaded: something beside its parameters is drawn at random"
        by_parameters = torch.autograd.grad(answer(x, 0).sum(), list(parameters.values()), allow_unused=True)
        for name, slope in zip(parameters, by_parameters, strict=True):
            if slope is None:
                yield f"its answers do not depend on {name}"


def _faults_of_logits(
    answer: Callable[[Tensor, int], Tensor], x: Tensor, classes: int, advice: tuple[str, str] = ("", "")
) -> Iterator[str]:
    """What is wrong with the answers of a network, worst first; advice: on answers that are not finite, or random."""
    logits: Any = answer(x, 0)
    if not isinstance(logits, Tensor):
        yield f"it answers {len(x)} images with a {type(logits).__name__}, not with logits ({len(x)}, {classes})"
    if tuple(logits.shape) != (len(x), classes):
        yield f"it answers {len(x)} images with {tuple(logits.shape)}, not with logits ({len(x)}, {classes})"
    if not bool(logits.isfinite().all()):
        yield f"its answers are not finite{advice[0]}"
    if not torch.equal(logits, answer(x, 1)):
        yield f"it answers the same images differently each time{advice[1]}"
    parts = torch.cat([answer(part, 0) for part in x.split((len(x) + 1) // 2)])
    if not torch.allclose(parts, logits, rtol=ANSWER, atol=ANSWER * float(logits.detach().abs().max())):
        yield "its answer to an image depends on the other images of the batch"
    if _slope(answer, x) is None:
        yield NO_GRADIENT


def _slope(answer: Callable[[Tensor, int], Tensor], x: Tensor) -> Tensor | None:
    """The gradient of a loss for images, where there is one."""
    images, labels = x.clone().requires_grad_(), torch.zeros(len(x), dtype=torch.long, device=x.device)
    loss = F.cross_entropy(answer(images, 0), labels)
    return torch.autograd.grad(loss, images, allow_unused=True)[0] if loss.requires_grad else None
