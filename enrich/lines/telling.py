"""What is told of a program's lines: each once, with its prompt, its role, and whether it goes on with the last."""

from __future__ import annotations

from enrich.lines.program import Program, Return
from enrich.lines.prompts import asks_for_data, asks_for_more, is_interpreter, is_remote, sets_prompt
from enrich.lines.syntax import has_syntax
from enrich.lines.typed import Confidence, Moment, Prompt, Reason, Role, Told, Typed, Who

LONGEST = 65_536
"""Bytes of a line that are kept."""
_BLOCK = 4096
"""Characters of a command that are looked at to tell whether it asks for data."""


def ask(program: Program, who: Who, at: Moment, prompt: str) -> list[Told]:
    """A program asks for a line: told once, and not where it asks for more of the line before."""
    if program.asked or continues(program, who, prompt) or role_of_edit(program, who, prompt) is Role.INPUT:
        return []
    program.asked = True
    return [Prompt(who, at)]


def continues(program: Program, who: Who, prompt: str) -> bool:
    """Whether what is typed at this prompt goes on with the line before."""
    if not program.block:
        return False
    if program.syntax.open:
        return True
    return not sets_prompt(who.name, program.block) and asks_for_more(prompt, program.primary)


def tell(
    program: Program,
    who: Who,
    line: str,
    prompt: str,
    role: Role,
    reason: Reason,
    *,
    back: Return,
    gap: bool = False,
    cut: bool = False,
) -> list[Told]:
    """A line was accepted."""
    further = role is Role.COMMAND and continues(program, who, prompt)
    opened = program.syntax.rest[:1] if further else ""
    told = [] if further or role is Role.INPUT else ask(program, who, back.at, prompt)
    if role is Role.COMMAND:
        if not further:
            program.primary = prompt
            abandon(program)
        program.commands += 1
        program.asked = False
        program.block = f"{program.block}{line}\n"[:_BLOCK]
        if has_syntax(who.name):
            program.syntax.add(line)
    if not line.strip() and not further:
        abandon(program)
        return told
    raw = line.encode(errors="surrogatepass")
    if len(raw) > LONGEST:
        line, cut = raw[:LONGEST].decode(errors="ignore"), True
    doubts = {Reason.REMOTE: is_remote(who), Reason.GAP: gap, Reason.CUT: cut}
    reasons = (reason, *(each for each, holds in doubts.items() if holds))
    sure = Confidence.HIGH if reason in {Reason.READ, Reason.EDITED} else Confidence.MEDIUM
    part = back.parts
    back.parts += 1
    typed = Typed(
        who=who,
        line=line,
        prompt=prompt,
        at=back.at,
        part=part,
        role=role,
        continues=further,
        confidence=Confidence.LOW if len(reasons) > 1 else sure,
        reasons=reasons,
        uid=back.uid,
        cwd=back.cwd,
        cwd_flags=back.cwd_flags,
        opened=opened,
    )
    return [*told, typed]


def abandon(program: Program) -> None:
    """What was begun was taken back."""
    program.block = ""
    program.syntax.forget()


def role_of(program: Program, who: Who, *, asked: bool) -> Role:
    """What a line read in canonical mode is: a command only to an interpreter that asked for it."""
    return Role.COMMAND if asked and is_interpreter(who.name) and not program.edits else Role.INPUT


def role_of_edit(program: Program, who: Who, prompt: str) -> Role:
    """What a line that was edited is: a command, unless the one before asks for data (`read -e`, `input()`)."""
    asks = program.block and prompt != program.primary and asks_for_data(who.name, program.block, prompt)
    return Role.INPUT if asks else Role.COMMAND
