"""The commands of `cgtrail containers` and `cgtrail tenants`: options and help."""

from __future__ import annotations

import click

from cgtrail import options
from cgtrail.command import command, config, shared

_id = click.argument("tenant", metavar="ID", shell_complete=options.known_tenants)
_name = click.option("--name", metavar="TEXT", help="Its name, for people.")
_policy = click.option("--policy", metavar="LIST",
                       help="What it wants recorded: some of exec,terminal,output; '' for nothing.")  # fmt: skip
_containers = click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True)
SELECTORS = {
    "label": "label",
    "compose": "compose",
    "image": "image",
    "container_name": "name",
    "namespace": "namespace",
}
"""Options that choose containers, and the selectors they stand for."""
_chosen = options.together(
    click.option("--label", multiple=True, metavar="KEY[=VALUE]", help="Containers with this label."),
    click.option("--compose", multiple=True, metavar="PATTERN", help="Containers of this compose project."),
    click.option("--image", multiple=True, metavar="PATTERN", help="Containers of this image, tag or no tag."),
    click.option("--container-name", multiple=True, metavar="PATTERN", help="Containers of this name."),
    click.option("--namespace", multiple=True, metavar="PATTERN", help="Containers of this Kubernetes namespace."),
)


@click.group()
@shared
def tenants() -> None:
    """Show and change whose containers are, in the running agent.

    A container may belong to several tenants. Files and labels say so too: docs/tenants.md.
    """


def add_to(cli: click.Group) -> None:
    """Make them commands of the command line."""
    cli.add_command(tenants)

    @command(cli)
    @click.option(
        "--tenant", metavar="ID", shell_complete=options.known_tenants, help="Only containers of this tenant."
    )
    @options.as_json
    def containers(tenant: str | None, as_json: bool) -> None:
        """List the containers that run, as the running agent knows them: whose they are, what is recorded."""
        from cgtrail import containers

        containers.run(config(), tenant, as_json=as_json)


@command(tenants, "list")
@options.as_json
def list_tenants(as_json: bool) -> None:
    """List every tenant, those that only labels name too."""
    from cgtrail import tenants

    tenants.ls(config(), as_json=as_json)


@command(tenants)
@_id
@options.as_json
def show(tenant: str, as_json: bool) -> None:
    """Show a tenant, what chooses its containers, and which they are."""
    from cgtrail import tenants

    tenants.show(config(), tenant, as_json=as_json)


@command(tenants)
@_id
@_name
@_policy
@_chosen
def add(tenant: str, name: str | None, policy: str | None, **chosen: tuple[str, ...]) -> None:
    """Declare a tenant. It is kept in the data folder.

    A container that any of the options chooses belongs to it; what must hold together is written in a file. Patterns
    are the shell's: * ? [abc].

    \b
        cgtrail tenants add team-a --name 'Team A' --label team=a --container-name 'a-*'
    """
    from cgtrail import tenants

    rules = [(SELECTORS[option], value) for option, values in chosen.items() for value in values]
    tenants.add(config(), tenant, name or "", policy, rules)


@command(tenants)
@_id
@_name
@_policy
def change(tenant: str, name: str | None, policy: str | None) -> None:
    """Change the name or policy of a tenant that was added by a command."""
    from cgtrail import tenants

    if name is None and policy is None:
        raise click.UsageError("nothing is to be changed: give --name or --policy")
    tenants.change(config(), tenant, name, policy)


@command(tenants)
@_id
def remove(tenant: str) -> None:
    """Remove a tenant that was added by a command."""
    from cgtrail import tenants

    tenants.remove(config(), tenant)


@command(tenants)
@_id
@_containers
def attach(tenant: str, containers: tuple[str, ...]) -> None:
    """Let containers belong to a tenant, by name, id or the first 4 digits or more of it.

    All that they start from then on carries the tenant.
    """
    from cgtrail import tenants

    tenants.attach(config(), tenant, containers)


@command(tenants)
@_id
@_containers
def detach(tenant: str, containers: tuple[str, ...]) -> None:
    """Undo `attach`."""
    from cgtrail import tenants

    tenants.detach(config(), tenant, containers)
