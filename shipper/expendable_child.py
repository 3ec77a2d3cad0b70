"""A child that may be lost: questions come on stdin, one reader's answers go to stdout, in order, one each.

It is started as a file, by `shipper.expendable`, and imports nothing of ours but the reader, a file too: what never
returns costs this process and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import struct
import sys

SIZE = struct.Struct("<I")
"""Before each question and answer: how many bytes it has. The first answer is to no question: the child has begun."""
_PR_SET_PDEATHSIG = 1


def main(agent: int, reader: str, *arguments: str) -> None:
    """Answer until stdin ends. `reader`: a file with `answer(question, *arguments)`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent:
        return
    answer = runpy.run_path(reader)["answer"]
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(SIZE.pack(0))
    answers.flush()
    while len(size := questions.read(SIZE.size)) == SIZE.size:
        told = answer(questions.read(*SIZE.unpack(size)), *arguments)
        answers.write(SIZE.pack(len(told)) + told)
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
