"""Blocks worked on so that reading, computing and writing overlap, in bounded memory.

A few blocks are under way at a time, each in a thread of its own that reads it, has its tiles computed by the pool all
share, and hands it over. While one block waits for the disk or the network, the others keep the processor busy.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from crispmap.geo.grid import Block

UNDER_WAY = 3  # blocks under way at a time: one read, one computed, one written

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Block, Executor], None]
"""Reads, computes and hands over one block; the pool is for its arithmetic."""


def work_through(
    blocks: Iterable[Block], work: Work, *, threads: int, done: Callable[[Block], None], under_way: int = UNDER_WAY
) -> None:
    """Work on all blocks, a few at a time; ``done`` is called with each, in the caller's thread.

    Where one fails, no further one is begun, those under way are waited for, and the first error is raised; the same
    where ``done`` raises or the caller is interrupted.
    """
    waiting = iter(blocks)
    with _pool(threads, "compute") as compute, _pool(under_way, "block") as pool:
        running: dict[Future[None], Block] = {}

        def begin(count: int) -> None:
            for block in islice(waiting, count):
                running[pool.submit(work, block, compute)] = block

        begin(under_way)
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                block = running.pop(future)
                future.result()
                done(block)
            begin(under_way - len(running))


def in_order(count: int, work: Callable[[int], Result], *, at_once: int) -> list[Result]:
    """Return the results of work on 0 .. count - 1, in this order, some of it at a time.

    Where one fails, no further one is begun, those under way are finished, and the error is raised.
    """
    if at_once == 1:
        return [work(number) for number in range(count)]
    with _pool(at_once, "scene") as pool:
        return list(pool.map(work, range(count)))


def following(items: Iterable[Item], work: Callable[[Item], Result], *, threads: int) -> Generator[Result, None, None]:
    """Yield the results of work on items in their order, while the next items are taken in the caller's thread.

    At most ``threads`` and one more are under way. Where one fails, or the generator is closed, no further one is begun
    and those under way are waited for.
    """
    with _pool(threads, "follow") as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def available_cores() -> int:
    """Return the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Return a pool whose waiting tasks are dropped when it is left."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
