"""The screen of a run, ``snakemake --logger gradreg``: what is running, how far it is, how long it will take.

On a terminal, a bar over all jobs and a line for each that runs; in a file, a line for each tenth of the jobs.
Snakemake finds loggers by the names of their packages, and imports them before it reads the Snakefile. So nothing of
gradreg is imported here: it might be that of another clone.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

NO_P, GIVEN = "none", "given"  # in paths: of plain training, of networks from files
SHOWN = 8  # running jobs
LAST = 5  # lines of the log of a job that failed
BLOCK = re.compile(r"_seeds_(\d+)_to_(\d+)$")
EPOCH = re.compile(r"epoch \d+/\d+")
TOLD = ("RuleException", "CalledProcessError", "SpawnedJobError")  # the log of the job says more
SILENT = "GRADREG_SCREEN"  # tells jobs that their last words are shown


def describe(rule: str, wildcards: dict[str, str]) -> str:
    """A job in a person's words, as "train maxout, p = 2, eps 0.4, seeds 0 to 4"; of any rule of the workflow."""
    block = BLOCK.search(rule)
    stage = rule.partition("_")[0]
    named = {
        "train": "train",
        "evaluate": "attack",
        "strong": "attack strongly",
        "choose": "choose a setting of",
        "take": "take",
    }
    if "model" not in wildcards:
        return rule.replace("_", " ")
    p, objective = wildcards.get("p", NO_P), wildcards.get("objective", "")
    parts = [wildcards["model"]]
    if p in (NO_P, GIVEN):
        parts += [objective or "plain"]
    else:
        parts += [objective] if objective != "perturb" else []
        parts += [f"p = {p}"]
        parts += [f"eps {wildcards['eps']}"] if "eps" in wildcards else []
    parts += [f"{wildcards['n_train']} images"] if "n_train" in wildcards else []
    if block:
        first, last = block.groups()
        parts += [f"seed {first}" if first == last else f"seeds {first} to {last}"]
    return f"{named.get(stage, rule.replace('_', ' '))} {', '.join(parts)}"


def last_lines(files: Iterable[str], count: int) -> list[str]:
    """The end of the first of some logs that can be read."""
    for file in files:
        with suppress(OSError):
            return [line for line in Path(file).read_text(errors="replace").splitlines() if line.strip()][-count:]
    return []


class Running:
    """A job that runs: what it does, since when, and where it writes."""

    def __init__(self, record: Any) -> None:
        self.text = describe(record.rule_name, dict(getattr(record, "wildcards", None) or {}))
        self.log, self.start = [str(file) for file in record.log or []], time.monotonic()

    def progress(self) -> str:
        """The epoch it is in, if it trains, or else its seconds so far."""
        for line in reversed(last_lines(self.log, 3)):
            if epoch := EPOCH.search(line):
                return epoch[0]
        return f"{time.monotonic() - self.start:.0f} s"


class LogHandler(LogHandlerBase):
    """A logger of Snakemake's; dry runs stay as they are."""

    # What Snakemake asks of a logger.
    writes_to_stream = has_filter = has_formatter = True
    writes_to_file = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin the screen, or, for a dry run, what Snakemake has itself."""
        self.plain = _plain(self.common_settings) if self.common_settings.dryrun else None
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.running: dict[int, Running] = {}
        self.tenths, self.done, self.begun = 0, 0, time.monotonic()
        self.bar = Progress(
            BarColumn(bar_width=40),
            MofNCompleteColumn(separator=" of "),
            TextColumn("jobs,"),
            TimeElapsedColumn(),
            TextColumn("gone, about"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
        )
        self.task = self.bar.add_task("jobs", total=None, visible=False)
        self.live: Live | None = None
        if self.plain is None:
            os.environ[SILENT] = "1"
            if self.console.is_terminal:
                options: dict[str, Any] = {"refresh_per_second": 2, "transient": True}  # nothing of it stays in the end
                self.live = Live(get_renderable=self._screen, console=self.console, **options)
                self.live.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take what a record tells into the screen."""
        if self.plain is not None:
            self.plain.handle(record)  # with its filters
            return
        event, job = getattr(record, "event", None), getattr(record, "jobid", None)
        if event == LogEvent.RUN_INFO:
            self._progress(0, getattr(record, "stats", {}).get("total", 0))
        elif event == LogEvent.JOB_INFO and job is not None:
            self.running[job] = Running(record)
        elif event == LogEvent.JOB_FINISHED:
            self.running.pop(getattr(record, "job_id", -1), None)
        elif event == LogEvent.JOB_ERROR and job is not None:
            self._failed(job, record)
        elif event == LogEvent.PROGRESS:
            self._progress(getattr(record, "done", 0), getattr(record, "total", 0))
        elif event == LogEvent.ERROR:
            if getattr(record, "exception", "") not in TOLD:
                self.console.print(Text(record.getMessage()))
        elif event is None and (record.levelno >= logging.WARNING or "Nothing to be done" in record.getMessage()):
            self.console.print(Text(record.getMessage()))

    def close(self) -> None:
        """Take the screen away."""
        if self.live is not None:
            self.live.stop()
            self.live = None
        if self.done and self.plain is None:
            self.console.print(f"{self.done} jobs done in {(time.monotonic() - self.begun) / 60:.1f} min")
            self.done = 0
        super().close()

    def _screen(self) -> RenderableType:
        jobs = list(self.running.values())
        lines = [Text(f"  {job.text}   {job.progress()}", overflow="ellipsis", no_wrap=True) for job in jobs[:SHOWN]]
        if len(jobs) > SHOWN:
            lines.append(Text(f"  and {len(jobs) - SHOWN} more"))
        return Group(self.bar, *lines)

    def _progress(self, done: int, total: int) -> None:
        if not total:
            return
        self.done = done
        self.bar.update(self.task, completed=done, total=total, visible=True)
        if self.live is None and 10 * done // total > self.tenths:
            self.tenths = 10 * done // total
            self.console.print(f"{done} of {total} jobs done")

    def _failed(self, job: int, record: Any) -> None:
        failed = self.running.pop(job, None) or Running(record)
        self.console.print(Text(f"Failed: {failed.text}; log: {', '.join(failed.log)}", style="bold red"))
        for line in last_lines(failed.log, LAST):
            self.console.print(Text(f"  {line}"))


def _plain(settings: Any) -> logging.Handler:
    """The handler that Snakemake has without a plugin."""
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    handler: logging.Handler = ColorizingTextHandler(settings.nocolor, sys.stdout if settings.stdout else sys.stderr)
    handler.addFilter(
        DefaultFilter(settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds)
    )
    handler.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
    return handler
