"""What ``overnight doctor`` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from overnight.cli.output import line


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Worth knowing, or waiting for a decision; work can go on."""
    PROBLEM = "problem"
    """Work can't go on, or not as it should, until this is put right."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``text`` says how it is, ``advice`` what to do about it, each as whole sentences."""

    check: str
    level: Level
    text: str
    advice: str = ""

    @property
    def sentence(self) -> str:
        """Both, on one line fit for a terminal."""
        return line(f"{self.text} {self.advice}".rstrip(), 4000)

    def fields(self) -> dict[str, str]:
        """The same for ``--json``."""
        return {
            "check": self.check,
            "level": self.level.value,
            "text": self.text,
            "advice": self.advice,
        }


def fine(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, advice: str = "") -> Finding:
    """Something to know or to decide."""
    return Finding(check, Level.WARNING, text, advice)


def problem(check: str, text: str, advice: str = "") -> Finding:
    """Something that has to be put right."""
    return Finding(check, Level.PROBLEM, text, advice)
