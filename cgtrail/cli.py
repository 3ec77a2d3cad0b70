"""The `cgtrail` command: options and help. What a command does is in the module of its name, imported when it runs.

Exit codes: 0 done; 1 it could not be done, the message says why; 2 the command line or configuration is wrong;
3 `check` found something that is not recorded here.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import click

from cgtrail import options, search_commands, secrets, session_commands, setup_commands, tenant_commands
from cgtrail.command import coloured, command, config, shared

_WHOSE = "Whose dead letters: the worker's that writes there. In Kafka they are all workers' together."


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("cgtrail"), prog_name="cgtrail")
@shared
def cli() -> None:
    """Record, from the host, what people do inside containers, and search it.

    Settings come from the configuration file, then from the environment (CGTRAIL_DATA, CGTRAIL_CAPTURE_HOST, …), then
    from options; the later wins.
    """


@command(cli)
@options.host
@options.as_json
@click.option("--quiet", is_flag=True, help="Print no events; only record them.")
@click.option("--demo", type=click.Choice(["never", "auto", "always"]), default="never", show_default=True,
              help="Play a demonstration beside it; auto: if no container is running.")  # fmt: skip
def up(host: bool | None, as_json: bool, quiet: bool, demo: str) -> None:
    """Record this host, keep everything locally, and show what happens.

    Agent and worker run as two processes until Ctrl-C. `cgtrail search` and `tail` work meanwhile, and afterwards.
    """
    from cgtrail import up

    up.run(config(capture__host=host), as_json=as_json, quiet=quiet, demo=demo)


@command(cli)
@options.host
def ship(host: bool | None) -> None:
    """Run the agent only: record this host into the spool, and publish it where kafka.servers is set."""
    from cgtrail import halves

    halves.ship(config(capture__host=host))


@command(cli)
@click.option("--once", is_flag=True, help="Stop when everything that is in the spool has been acknowledged.")
@click.option("--beside", is_flag=True, hidden=True, help="Until standard input ends: beside an agent.")
def publish(once: bool, beside: bool) -> None:
    """Run the publisher only: send what is in the spool to Kafka. `cgtrail ship` starts one by itself."""
    from cgtrail import publish

    sys.exit(publish.run(config(), once=once, beside=beside))


@command(cli)
@click.option("--once", is_flag=True, help="Stop when everything that can be read now has been stored.")
@click.option(
    "--workers", type=click.IntRange(1, 256), metavar="N", help="Run N workers, which share Kafka's partitions."
)
@click.option(
    "--worker", "number", type=click.IntRange(0, 255), default=0, hidden=True, help="Which of several this is."
)
@options.sink("Where documents go: the local store, standard output as JSON lines, or Elasticsearch.")
@options.times("--from", "--to")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="With --from: a store in this folder instead of the local one.")  # fmt: skip
@click.option("--namespace", metavar="NAME",
              help="With --from and --sink elasticsearch: write to this namespace's data streams; the configured"
              " one's get what they do not have. Without it: the configured one, with .replay behind it.")  # fmt: skip
def enrich(
    once: bool,
    workers: int | None,
    number: int,
    sink: str,
    since: int | None,
    until: int | None,
    into: Path | None,
    namespace: str | None,
) -> None:
    """Run the worker only: turn the spool, or Kafka's partitions, into documents.

    Each sink has its own position, so several workers may read the spool side by side: name those that must miss
    nothing in spool.readers. Of Kafka's partitions, workers of one sink have each some. With --from, documents of the
    past are made again, also while a worker runs: a store knows them by their ids, and keeps each once.
    """
    from cgtrail import halves, past
    from cgtrail import workers as several

    for wrong, message in (
        (once and since is not None, "--once and --from: a replay ends by itself; leave one of them out"),
        (until is not None and since is None, "--to: from when on? Give --from too"),
        (into and since is None, "--into: only a replay writes to another folder; give --from too"),
        (into and sink != "sqlite", f"--into: a folder is for the local store; leave out --sink {sink}"),
        (
            namespace is not None and (since is None or sink != "elasticsearch"),
            "--namespace: it is for --from with --sink elasticsearch; workers have elasticsearch.namespace",
        ),
        (since is not None and until is not None and since > until, "--from is later than --to: exchange them"),
        (
            workers and since is not None,
            "--workers and --from: one process makes the past again; leave one of them out",
        ),
        (workers and not config().reads_kafka, "--workers: a spool has one reader; several need kafka.servers"),
    ):
        if wrong:
            raise click.UsageError(message)
    if since is not None:
        past.run(past.beside(config(elasticsearch__namespace=namespace), sink, namespace), sink, since, until, into)
    elif workers:
        several.run(config(), sink, workers, once=once)
    else:
        halves.enrich(config(), sink, once=once, number=number)


@command(cli)
@options.as_json
def check(as_json: bool) -> None:
    """Say what can be recorded on this host, and what to do about what can't."""
    from cgtrail.check import report

    sys.exit(report.run(config(), as_json=as_json))


@command(cli)
@options.as_json
def demo(as_json: bool) -> None:
    """Play a short session in a throwaway container, and show what was recorded of it.

    The container is made of namespaces and one cgroup: no runtime is needed, and nothing of it stays. If an agent runs
    on the data folder it records the demonstration; otherwise one is started for it, with a folder of its own.
    """
    from cgtrail import demo

    demo.run(config(), as_json=as_json)


@command(cli)
@options.host
@options.as_json
@options.content
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N records.")
def trace(host: bool | None, as_json: bool, **asked: Any) -> None:  # noqa: ARG001  it always is
    """Print raw kernel records as they come, one JSON object a line: for debugging.

    It loads its own kernel programs and stores nothing; an agent that runs is not disturbed.
    """
    from cgtrail import trace

    trace.run(config(capture__host=host), **asked)


@command(cli)
@options.store
@options.as_json
def status(as_json: bool) -> None:
    """Say whether agent, publisher and workers run, how far they are, and what was lost.

    Where workers read Kafka, also what all of them tell there, of all hosts. Exit code 1 when something here does not
    run or does not answer, or the store or the broker can't be reached.
    """
    from cgtrail import status

    sys.exit(status.run(config(), as_json=as_json))


search_commands.add_to(cli)
tenant_commands.add_to(cli)
cli.add_command(setup_commands.setup)
session_commands.add_to(cli)
cli.add_command(secrets.secrets)


@cli.group()
@shared
def spool() -> None:
    """Look into the spool, where the agent's records wait for workers."""


@command(spool)
@options.as_json
def ls(as_json: bool) -> None:
    """List what the spool holds, from keyframe to keyframe, and how far its readers are."""
    from cgtrail import spool

    spool.ls(config(), as_json=as_json)


@command(spool)
@options.times("--from", "--to")
@click.option("--stream", metavar="PREFIX", default="", help="Only the stream whose id begins so.")
@click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Only the frame of this number.")
@options.content
def cat(**chosen: Any) -> None:
    """Print records as they were recorded, by the time at which their frames were written; gaps are objects too."""
    from cgtrail import spool

    spool.cat(config(), spool.Chosen(**chosen))


@command(spool)
def verify() -> None:
    """Check every frame of the spool, and say what is damaged or missing. Exit code 1 when anything is."""
    from cgtrail import spool_verify

    sys.exit(spool_verify.run(config()))


@cli.group()
@shared
def deadletters() -> None:
    """Look at what could become no document, or could not be stored, and try it again."""


@command(deadletters, "list")
@options.sink(_WHOSE)
@options.as_json
def list_letters(sink: str, as_json: bool) -> None:
    """List dead letters, the newest last."""
    from cgtrail import deadletters

    deadletters.ls(config(), sink, as_json=as_json)


@command(deadletters)
@options.sink(_WHOSE)
@click.option("--raw", is_flag=True, help="Write the bytes alone, to a file or a program.")
@click.argument("letter", metavar="ID")
def show(sink: str, raw: bool, letter: str) -> None:
    """Show all that is known of the dead letter whose ID is this or begins so."""
    from cgtrail import deadletters

    deadletters.show(config(), sink, letter, raw=raw)


@command(deadletters)
@options.sink(_WHOSE)
@click.option("--all", "everything", is_flag=True, help="Try all, but for records that a worker died of.")
@click.argument("letters", metavar="[ID]...", nargs=-1)
def replay(sink: str, everything: bool, letters: tuple[str, ...]) -> None:
    """Try dead letters again, by ID: what can be delivered now is removed. Exit code 1 when something stays.

    Documents are sent again; records and frames are taken once more out of the spool, or out of
    the topic, as this version understands them.
    """
    from cgtrail import deadletters

    sys.exit(deadletters.replay(config(), sink, letters, everything=everything))


@command(cli)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, for its start-up file.

    \b
        cgtrail completion bash > /etc/bash_completion.d/cgtrail
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "cgtrail", "_CGTRAIL_COMPLETE").source())


def main() -> None:
    """Run the command; an expected error is one line on standard error, not a traceback."""
    from cgtrail.errors import expected, told
    from cgtrail.logs import notice
    from enrich.printable import message

    try:
        cli.main(prog_name="cgtrail", standalone_mode=False, color=coloured())
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        for line in shown.getvalue().rstrip("\n").split("\n"):
            notice(message(line))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        code = expected(error)
        if code is None:
            raise
        notice(f"cgtrail: {message(told(error))}")
        sys.exit(code)
