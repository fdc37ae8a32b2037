"""How rate, momentum and eps change in training: functions of the epoch, from 1, and of its step, from 0."""

import math

from gradreg.planning.specs import Recipe


def batches(n_train: int, recipe: Recipe) -> tuple[int, int]:
    """The images per step and the steps per epoch of a training set, by batch_size and min_steps."""
    batch = min(recipe.batch_size, n_train)
    return batch, max(n_train // batch, recipe.min_steps)


def progress(recipe: Recipe, epoch: int, step: int, steps: int) -> float:
    """The share of all steps, of ``epochs`` epochs of ``steps`` each, that lies behind."""
    return float(((epoch - 1) * steps + step) / (recipe.epochs * steps))


def learning_rate(recipe: Recipe, epoch: int, step: int, steps: int) -> float:
    """lr times the share that lr_schedule gives it.

    one_cycle: from 1/25 up to 1 over 30 % of all steps and down to 0, along half cosines. exponential: divided by
    lr_decay after every step, down to lr_least. linear: constant within an epoch, from 1 in the first to lr_least
    after lr_epochs epochs. constant: 1.
    """
    kind = recipe.lr_schedule
    if kind == "one_cycle":
        share = one_cycle(progress(recipe, epoch, step, steps))
    elif kind == "exponential":
        share = max(recipe.lr_decay ** -((epoch - 1) * steps + step), recipe.lr_least)
    elif kind == "linear":
        share = 1 + (recipe.lr_least - 1) * ramped(epoch, recipe.lr_epochs)
    else:
        share = 1.0
    return float(recipe.lr * share)


def momentum(recipe: Recipe, epoch: int) -> float:
    """From momentum in the first epoch to momentum_end, where there is one, in epoch momentum_epochs: on a line."""
    start, end = recipe.momentum, recipe.momentum_end
    if end is None:
        return float(start)
    return float(start + (end - start) * ramped(epoch, recipe.momentum_epochs))


def ramped(epoch: int, last: int) -> float:
    """0 in epoch 1, 1 from epoch ``last`` on, on a line between."""
    return min((epoch - 1) / (last - 1), 1.0) if last > 1 else 1.0


def one_cycle(done: float, rise: float = 0.3) -> float:
    """The learning rate as a share of its largest value, after a share ``done`` of all steps.

    From 1/25 up to 1 over the share ``rise``, then down to 0, both along half a cosine
    (Smith and Topin 2019, in the form of fast.ai and ``torch.optim.lr_scheduler.OneCycleLR``).
    """
    if done < rise:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * done / rise)) / 2
    return (1 + math.cos(math.pi * (done - rise) / (1 - rise))) / 2


def ramp(done: float, warmup: float) -> float:
    """The share of its final value that eps has after a share ``done`` of all steps: a line up to 1 at ``warmup``."""
    return min(done / warmup, 1.0) if warmup > 0 else 1.0
