"""Blocks are worked on a few at a time, each once; the first failure stops everything and is the one that is raised."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.geo.grid import Block
from crispmap.raster.pipeline import available_cores, following, work_through


def blocks_of(count):
    return [Block(index, 0, 1, 1) for index in range(count)]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 40), threads=st.integers(1, 4), under_way=st.integers(1, 5))
def test_every_block_is_done_once_and_told_in_the_callers_thread(count, threads, under_way):
    worked, told, lock = [], [], threading.Lock()
    now, most = 0, 0

    def work(block, pool):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        assert sum(pool.map(lambda value: value, range(5))) == 10
        with lock:
            worked.append(block)
            now -= 1

    def done(block):
        told.append((block, threading.current_thread() is threading.main_thread()))

    work_through(blocks_of(count), work, threads=threads, done=done, under_way=under_way)
    assert sorted(worked) == sorted(block for block, _ in told) == blocks_of(count)
    assert all(here for _, here in told)
    assert most <= under_way


def test_blocks_are_not_drawn_before_there_is_room():
    drawn, finished = [], []

    def draw():
        for block in blocks_of(30):
            drawn.append(block)
            assert len(drawn) - len(finished) <= 3
            yield block

    work_through(draw(), lambda block, pool: None, threads=1, done=finished.append, under_way=2)
    assert len(finished) == 30


def test_the_first_failure_is_raised_once_what_is_under_way_has_ended():
    begun, ended = [], []

    def work(block, pool):
        begun.append(block)
        if block.row == 4:
            raise OSError("the disk is full")
        time.sleep(0.01)
        ended.append(block)

    with pytest.raises(OSError, match="disk is full"):
        work_through(blocks_of(1000), work, threads=1, done=lambda block: None)
    assert len(begun) < 20
    assert len(ended) == len(begun) - 1


def test_a_failure_inside_the_pool_is_raised():
    def work(block, pool):
        list(pool.map(lambda value: 1 // value, [2, 1, 0]))

    with pytest.raises(ZeroDivisionError):
        work_through(blocks_of(5), work, threads=2, done=lambda block: None)


def test_an_interruption_leaves_no_thread_behind():
    def stop(block):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        work_through(blocks_of(100), lambda block, pool: None, threads=2, done=stop)
    assert threading.active_count() == before


def test_there_is_a_core():
    assert available_cores() >= 1


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 30), threads=st.integers(1, 4))
def test_results_follow_in_order_and_items_are_taken_here_as_there_is_room(count, threads):
    taken, given_back = [], []

    def items():
        for number in range(count):
            assert threading.current_thread() is threading.main_thread()
            taken.append(number)
            assert len(taken) - len(given_back) <= threads + 1
            yield number

    for result in following(items(), lambda number: (number, threading.current_thread()), threads=threads):
        given_back.append(result[0])
        assert result[1] is not threading.main_thread()
    assert given_back == list(range(count))


def test_what_follows_ends_at_the_first_failure_and_when_it_is_closed():
    begun, ended = [], []

    def work(number):
        begun.append(number)
        time.sleep(0.01)
        if number == 3:
            raise ValueError(number)
        ended.append(number)
        return number

    with pytest.raises(ValueError, match="3"):
        list(following(range(100), work, threads=2))
    assert len(begun) <= 7
    assert sorted([*ended, 3]) == begun
    begun.clear(), ended.clear()
    some = following(range(100), lambda number: work(number + 10), threads=2)
    assert next(some) == 10
    some.close()
    assert sorted(ended) == sorted(begun)
    assert len(begun) <= 4
