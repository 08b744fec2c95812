"""Which images of a data set are for what: by share, by name, by the set's own folders, or by ground."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.errors import ProjectError, number_of
from crispmap.project.pairs.find import Pair

ROLES = ("test", "validation", "refiner", "coarse")
"""Roles of images; of several that one ground would have, it gets the first."""
DEFAULT_SHARES = {"test": 0.2, "validation": 0.1}
GAP_SHARE = 50  # parts of one image are this part of its length apart
Members = float | tuple[str, ...] | Path


@dataclass(frozen=True)
class Split:
    """What each image is for, and which were moved so that no ground has two roles."""

    roles: Mapping[str, str]  # by name; images without a mask are not in it
    moved: tuple[str, ...] = ()


def split_pairs(
    pairs: Sequence[Pair], members: Mapping[str, Members], together: Sequence[Sequence[str]], seed: int
) -> Split:
    """Return the role of every pair that has a mask.

    Args:
        members: By role: the share of all that are split, or ids, or a file of ids. Without any, roles are those of the
            set's own folders, and ``DEFAULT_SHARES`` of what these leave out.
        together: Names of pairs that get one role, as groups: they show one ground, or are to be kept together.

    Raises:
        ProjectError: If an id is unknown or has two roles, or a role gets no image.
    """
    labelled = [one for one in pairs if one.mask is not None]
    roles = {one.name: one.part for one in labelled if one.part not in members}
    roles |= {one.name: "coarse" for one in labelled if one.part in members}
    shares: dict[str, float] = {}
    by_name: dict[str, str] = {}
    for role, given in members.items():
        if isinstance(given, float):
            shares[role] = given
            continue
        for name in _named(labelled, given, role):
            if by_name.setdefault(name, role) != role:
                raise _two_roles(name, role, by_name[name])
    roles |= by_name
    if sum(shares.values()) >= 1:
        raise ProjectError(
            f"The shares of the split sum up to {sum(shares.values()):g}: nothing is left to train the coarse network.",
            expected="shares that sum up to less than 1", remedy="Lower them.",
        )  # fmt: skip
    if not members:
        shares = {role: share for role, share in DEFAULT_SHARES.items() if role not in roles.values()}
    groups = _groups([one.name for one in labelled], together)
    moved = _unite(roles, groups)
    drawn = {role: share for role, share in shares.items() if share > 0}
    _draw(roles, groups, drawn, seed, {one.name: one.class_name for one in labelled})
    lacking = [role for role in ("coarse", *members) if role not in roles.values() and shares.get(role, 1.0) > 0]
    if lacking:
        raise ProjectError(
            f"The split leaves {' and '.join(lacking)} without an image, of {number_of(len(labelled), 'image')}.",
            expected="an image at least for every role", remedy=_few_remedy(len(labelled)),
        )  # fmt: skip
    return Split(roles, tuple(moved))


def cut_roles(length: int, members: Mapping[str, Members]) -> dict[str, tuple[int, int]]:
    """Return which part (start, stop) of an image's longer side each role has, with gaps between.

    Raises:
        ProjectError: If members are not shares, or the image is too small.
    """
    shares = {role: given for role, given in (members or DEFAULT_SHARES).items() if isinstance(given, float) and given}
    if len(shares) < len([one for one in members.values() if one != 0.0]) or sum(shares.values()) >= 1:
        raise ProjectError(
            "A split within images names images, or leaves nothing.", expected="shares that sum up to less than 1",
            remedy="Give shares such as test: 0.2, or leave by: within out.",
        )  # fmt: skip
    gap = max(1, length // GAP_SHARE)
    ordered = {"coarse": 1 - sum(shares.values()), **{role: shares[role] for role in reversed(ROLES) if role in shares}}
    usable, start, parts = length - gap * (len(ordered) - 1), 0, {}
    for role, share in ordered.items():
        stop = start + int(usable * share)
        if stop <= start:
            given = f"An image of {length} pixels is too small to be split within."
            raise ProjectError(given, expected="a row of pixels at least for every role", remedy="Raise the shares.")
        parts[role] = start, stop
        start = stop + gap
    return parts


def ground_cells(centres: Mapping[str, tuple[float, float]]) -> list[list[str]]:
    """Return names in cells of neighbours: all, halved across the longer side of where they lie until few are left.

    Of two names or more no cell has one alone, which would have no neighbour in its role.
    """
    most = max(3, len(centres) // 20)

    def halved(names: list[str]) -> list[list[str]]:
        if len(names) <= most:
            return [names]
        points = np.array([centres[name] for name in names])
        axis = int(np.ptp(points, axis=0).argmax())
        ordered = [names[index] for index in np.argsort(points[:, axis], kind="stable")]
        middle = len(ordered) // 2
        return halved(ordered[:middle]) + halved(ordered[middle:])

    return halved(sorted(centres))


def _named(pairs: Sequence[Pair], given: tuple[str, ...] | Path, role: str) -> list[str]:
    """Return the names of the pairs that ids stand for."""
    ids = given if isinstance(given, tuple) else ids_of(given)
    known = known_as(pairs)
    unknown = [one for one in ids if len(known.get(one, ())) != 1]
    if unknown:
        what = "several images have" if unknown[0] in known else "is no image with a mask"
        more = f", like {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ProjectError(
            f"split: {role} names {unknown[0]!r}, which {what}{more}.",
            expected=f"ids such as {', '.join(repr(one.name) for one in pairs[:3])}",
            remedy="Correct the list.",
        )  # fmt: skip
    return [known[one][0].name for one in ids]


def known_as(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return the pairs that each id or name stands for; of several a list cannot mean one."""
    known: dict[str, list[Pair]] = {}
    for one in pairs:
        for key in {one.id, one.name}:
            known.setdefault(key, []).append(one)
    return known


def ids_of(path: Path) -> list[str]:
    """Return the ids of a text file, one a line; ProjectError if it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        given = f"{path} cannot be read: {error}"
        raise ProjectError(given, expected="a text file with an id a line", remedy="Check the path.") from error
    return [line.strip() for line in lines if line.strip()]


def _two_roles(name: str, role: str, other: str) -> ProjectError:
    return ProjectError(
        f"split: {role} and {other} both name {name!r}.", expected="one role for every image", remedy="Name it once."
    )


def _groups(names: Sequence[str], together: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return the names in groups, joined where they share one."""
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = name = root[root[name]]
        return name

    for group in ([name for name in one if name in root] for one in together):
        for name in group[1:]:
            root[find(name)] = find(group[0])
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(find(name), []).append(name)
    return list(found.values())


def _unite(roles: dict[str, str], groups: Sequence[Sequence[str]]) -> list[str]:
    """Give every group one role, the first of ROLES that one of it has; return the names whose role changes."""
    moved = []
    for group in groups:
        role = min((roles[name] for name in group), key=ROLES.index)
        moved += [name for name in group if roles[name] != role]
        roles |= dict.fromkeys(group, role)
    return moved


def _draw(
    roles: dict[str, str], groups: Sequence[Sequence[str]], shares: Mapping[str, float], seed: int,
    classes: Mapping[str, str],
) -> None:  # fmt: skip
    """Give shares of all that are still for the coarse network other roles, group by group, at random.

    Of images that are of one class each the shares are of every class.
    """
    free = [group for group in groups if roles[group[0]] == "coarse"]
    total = sum(map(len, free))
    sizes, ranks = Counter(classes[group[0]] for group in free), Counter[str]()
    order = [free[index] for index in np.random.default_rng([seed, len(free)]).permutation(len(free))]

    def place(group: Sequence[str]) -> float:
        """Return how far among those of its class it comes."""
        name = classes[group[0]]
        ranks[name] += 1
        return (ranks[name] - 0.5) / sizes[name]

    order.sort(key=place)  # which of one class keeps the order
    for role in ROLES:
        wanted = max(1, round(shares[role] * total)) if role in shares else 0
        while wanted > 0 and len(order) > 1:
            group = next((one for one in order if len(one) <= wanted), None) or min(order, key=len)
            order.remove(group)
            roles |= dict.fromkeys(group, role)
            wanted -= len(group)


def _few_remedy(count: int) -> str:
    if count < 8:
        return "Split within the images: split: {by: within, test: 0.2, validation: 0.1}."
    return "Give other shares or lists under split:."
