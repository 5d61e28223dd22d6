"""Snakemake's logger `shiftbench`: passes events of a run to `shiftbench.workflow.engine.terminal`.

They replace Snakemake's own output. A dry run prints what Snakemake prints. The log below `.snakemake/log` always
has everything.
"""

import logging
import sys
from typing import Any

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from shiftbench.base.progress import Screen

NOISE = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Using shell:",
    "Group jobs: inactive",
    "Select jobs to execute",
    "Touching output file",
    "Elapsed time:",
)
"""How messages begin that say nothing of a benchmark."""

COMMAND_FAILED = "RuleException:\nCalledProcessError"
"""How the message begins that Snakemake logs before a failed job; the job's log says more."""

AFTER_A_FAILURE = (
    "Shutting down, this might take some time",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete",
)
"""How messages begin that repeat that a job failed."""

SILENT = (
    LogEvent.WORKFLOW_STARTED,
    LogEvent.JOB_STARTED,
    LogEvent.GROUP_INFO,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
)
"""Events that `terminal` does without."""


class LogHandler(LogHandlerBase):
    """Hands events to a terminal, in the thread in which Snakemake logs."""

    def __post_init__(self) -> None:
        from shiftbench.workflow.engine.terminal import Terminal  # Snakemake imports all plugins, for every workflow

        dry = self.common_settings.dryrun
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        no_color = self.common_settings.nocolor or None
        screen = Screen(file=stream, highlight=False, no_color=no_color)
        self.terminal = Terminal(screen, show_logs=self.common_settings.show_failed_logs)
        self._command_failed = ""
        self.handlers = {} if dry else self._handlers()

    def _handlers(self) -> dict[LogEvent, Any]:
        """Return what is done with which event."""
        terminal = self.terminal
        return {
            **dict.fromkeys(SILENT, lambda _: None),
            LogEvent.RUN_INFO: lambda record: terminal.plan(record.stats),
            LogEvent.JOB_INFO: lambda record: terminal.begin(record.jobid, "".join(record.output[:1])),
            LogEvent.JOB_FINISHED: lambda record: terminal.end(record.job_id),
            LogEvent.JOB_ERROR: lambda record: terminal.fail(
                record.jobid, record.rule_name, record.rule_msg or self._command_failed, record.log
            ),
        }

    def emit(self, record: logging.LogRecord) -> None:
        """Show one event; what is no event of a job is printed, but for noise."""
        event = getattr(record, "event", None)
        if event in self.handlers:
            self.handlers[event](record)
            return
        text = self.format(record)
        if text.startswith(COMMAND_FAILED) and not self.common_settings.dryrun:
            self._command_failed = text
            return
        if text.startswith("Complete log(s):"):
            self.terminal.close()  # nothing comes after, and the path stands last
        noise = (*NOISE, *(AFTER_A_FAILURE if self.terminal.failed else ()))
        if text and text != "None" and (self.common_settings.dryrun or not text.startswith(noise)):
            self.terminal.say(text, _style(record.levelno))
        if text == NOTHING_TO_BE_DONE_MSG and not self.common_settings.dryrun:
            self.terminal.show_pages()

    def close(self) -> None:
        """Say what was made."""
        self.terminal.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """It does, so that Snakemake's own output is off."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake writes its log itself."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own filter knows `--quiet` and `--printshellcmds`."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own formatter spells all that is not of a job."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """It does not."""
        return False


def _style(level: int) -> str:
    if level >= logging.ERROR:
        return "red"
    return "yellow" if level >= logging.WARNING else ""
