"""Runs the operations of one transaction: those of a kind that knows how to in one go.

An operation is a function of a connection. A :class:`Joint` one can be run together with others of
its kind, for the price of about one. These come first and the others after them, in their order:
whoever needs one write before another waits for it, and so never has both in one group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Connection

from overnight.store import faults
from overnight.store.faults import Place

T = TypeVar("T")

Operation = Callable[[Connection], Any]


class Joint(Generic[T]):
    """An operation that can be run together with others of its kind."""

    __slots__ = ()

    def __call__(self, connection: Connection) -> T:
        [value] = self.together(connection, [self])
        return value

    @classmethod
    def together(cls, connection: Connection, operations: Sequence[Self]) -> list[T]:
        """The value of each, as if they had been run one after the other.

        Raises :class:`UnevenError` when that can't be told; a single one never does.
        """
        raise NotImplementedError


class UnevenError(Exception):
    """Not every one of several operations found its row. The transaction has to be undone, and
    each of them run alone."""


def comes_later(operation: Operation) -> bool:
    """Whether it is run after the joint ones of its group."""
    return not isinstance(operation, Joint)


def run(connection: Connection, operations: Sequence[Operation]) -> list[Any]:
    """The value of each operation. What one raises, :class:`UnevenError` included, undoes all."""
    results: list[Any] = [None] * len(operations)
    for places, write in _parts(operations):
        for place, value in zip(places, write(connection), strict=True):
            results[place] = value
        faults.reach(Place.IN_GROUP)
    return results


def _parts(operations: Sequence[Operation]) -> Iterator[tuple[list[int], Operation]]:
    """What is run in one go: the places of the operations, and what makes the values of them."""
    joint: dict[type[Joint[Any]], list[tuple[int, Joint[Any]]]] = {}
    single: list[tuple[int, Operation]] = []
    for place, operation in enumerate(operations):
        if isinstance(operation, Joint):
            joint.setdefault(type(operation), []).append((place, operation))
        else:
            single.append((place, operation))
    for kind, several in joint.items():
        alike = [operation for _, operation in several]
        yield [place for place, _ in several], partial(_together, kind, alike)
    for place, operation in single:
        yield [place], partial(_alone, operation)


def _together(
    kind: type[Joint[Any]], alike: Sequence[Joint[Any]], connection: Connection
) -> list[Any]:
    return kind.together(connection, alike)


def _alone(operation: Operation, connection: Connection) -> list[Any]:
    return [operation(connection)]
