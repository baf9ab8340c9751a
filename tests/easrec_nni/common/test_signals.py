"""Signal handlers within a block, and after it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from easrec_nni.common.signals import signals_ignored, signals_interrupt

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_signals_interrupt_as_ctrl_c_does(number: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 5)  # until the signal has come
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number, handler in zip(NUMBERS, before, strict=True):
            signal.signal(number, handler)


def test_a_clean_up_ignores_signals() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with signals_ignored():
        for number in NUMBERS:
            os.kill(os.getpid(), number)
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.parametrize("context", [signals_ignored, signals_interrupt])
def test_other_threads_leave_signals_alone(context: Callable[[], AbstractContextManager[None]]) -> None:
    inside: list[object] = []

    def work() -> None:
        with context():
            inside.append([signal.getsignal(number) for number in NUMBERS])

    before = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
