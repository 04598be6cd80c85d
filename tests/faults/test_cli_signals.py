"""SIGINT and SIGTERM at the command line, from the first import on: one line, the exit code that
the shell expects, and no traceback."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "scorefold.cli", "datasets"]
WAIT = """
import sys, time
from scorefold.cli import main
import scorefold.cli.commands as commands
build = commands.build_parser
def waiting():
    found = build()
    def command(arguments):
        print("begun", flush=True)
        if sys.argv[1] == "deaf":
            import ctypes
            # A call outside of Python that no signal interrupts, like a compilation: a lock taken
            # twice. Other threads run.
            library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
            library.pthread_mutex_lock(lock)
            library.pthread_mutex_lock(lock)
        time.sleep(20)
    found.parse_args = lambda argv: __import__("argparse").Namespace(command=command)
    return found
commands.build_parser = waiting
sys.exit(main([]))
"""


def ended(child, number):
    """Exit code and standard error after a signal."""
    child.send_signal(number)
    error = child.communicate(timeout=60)[1]
    return child.returncode, error


@pytest.mark.parametrize(
    ("delay", "number", "code"), [(0.2, signal.SIGINT, 130), (0.6, signal.SIGTERM, 143)]
)
def test_while_modules_are_imported(delay, number, code):
    """JAX takes a second or more to import; the handler is there after a tenth of one."""
    with subprocess.Popen(PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        # Wait until JAX's library is being loaded, and a little longer.
        while p.poll() is None and "jaxlib" not in Path(f"/proc/{p.pid}/maps").read_text():
            time.sleep(0.02)
        time.sleep(delay)
        found, error = ended(p, number)
    assert found in (code, 0), error
    assert "Traceback" not in error and error.count("\n") <= 1
    if found:
        assert error.startswith(f"scorefold: {number.name}")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_first_signal_and_a_second(deaf):
    """The first is said in one line; a second ends the process at once, even while the main
    thread is in a long call outside of Python and has not heard the first."""
    words = [sys.executable, "-c", WAIT, "deaf" if deaf else "hearing"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "begun\n"
        if deaf:
            time.sleep(0.3)
            p.send_signal(signal.SIGINT)
            time.sleep(0.3)
        started = time.monotonic()
        code, error = ended(p, signal.SIGTERM)
    assert time.monotonic() - started < 10
    assert code == 143 and "Traceback" not in error
    assert error.count("\n") == (0 if deaf else 1)


LEAVING = """
import atexit, sys, time
from scorefold.cli import main
def slow():
    print("leaving", flush=True)
    time.sleep(1)
atexit.register(slow)
sys.argv = ["scorefold", "--version"]
sys.exit(main())
"""


@pytest.mark.fault(3, "a signal while the interpreter is taken down, after all is done")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_the_command(number):
    words = [sys.executable, "-c", LEAVING]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline().startswith("scorefold ")
        assert p.stdout.readline() == "leaving\n"
        code, error = ended(p, number)
    assert (code, error) == (0, "")


SWALLOWED = """
import os, signal, sys
from scorefold.cli.stops import Stopped, Stops
class Rubbish:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
with Stops() as stops:
    stops.begun()
    Rubbish()
    try:
        stops.check()
    except Stopped as stop:
        print(stop.code, flush=True)
"""


@pytest.mark.fault(3, "a signal within a destructor, which cannot raise it")
def test_a_signal_that_a_destructor_swallows():
    found = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("143\n", "")
