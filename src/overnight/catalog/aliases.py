"""Short names for inputs, derived from a schema.

Community models name an input after the node of the workflow that it feeds: ``598_seed``, or
``602_widthx602_height`` where one input feeds two. People should not have to know node numbers,
so each input can also be called by its raw name without them and by its title as one word. A
name that two inputs would share is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from overnight.catalog.schema import InputSpec


@dataclass(frozen=True, slots=True)
class Aliases:
    """``owner`` leads from an alias to its raw name; ``shared`` from a name that more than one
    input could have to all of their raw names; ``best`` from a raw name to the shortest name that
    means it (a raw name with node numbers only where it has no alias)."""

    owner: Mapping[str, str]
    shared: Mapping[str, tuple[str, ...]]
    best: Mapping[str, str]


def derive(specs: Iterable[InputSpec]) -> Aliases:
    """All aliases of a model's inputs. A raw name always means its own input."""
    inputs = list(specs)
    raw_names = {spec.name for spec in inputs}
    claims: dict[str, list[str]] = {}
    for spec in inputs:
        for alias in _candidates(spec):
            if alias not in raw_names:
                claims.setdefault(alias, []).append(spec.name)
    owner = {alias: owners[0] for alias, owners in claims.items() if len(owners) == 1}
    shared = {alias: tuple(owners) for alias, owners in claims.items() if len(owners) > 1}
    best = {spec.name: _best(spec.name, owner) for spec in inputs}
    return Aliases(owner, shared, best)


def _candidates(spec: InputSpec) -> list[str]:
    names = [without_nodes(spec.name), slug(spec.title)]
    return list(dict.fromkeys(name for name in names if name))


def _best(raw: str, owner: Mapping[str, str]) -> str:
    mine = [alias for alias, name in owner.items() if name == raw]
    if without_nodes(raw) == raw:
        mine.append(raw)
    return min(mine, key=lambda alias: (len(alias), alias), default=raw)


def without_nodes(raw: str) -> str:
    """``598_seed`` → ``seed``; ``602_widthx602_height`` → ``widthxheight``; a name that does not
    begin with a node number is left as it is."""
    if not re.match(r"\d+_", raw):
        return raw
    return re.sub(r"(^|x)\d+_", r"\1", raw)


def slug(title: str) -> str:
    """A title as one word: lower case, ``_`` between words, what stands in brackets left out.

    ``Resolution (W:H)`` → ``resolution``; ``Guidance Scale`` → ``guidance_scale``.
    """
    plain = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", title)
    return "_".join(re.findall(r"\w+", plain.lower()))
