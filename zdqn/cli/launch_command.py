"""``zdqn launch``: a run on several machines, over ssh or as jobs of Slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from zdqn.cli.closing_words import print_summary, say
from zdqn.cli.host_findings import show_findings
from zdqn.cli.options import FOLDER, log_level_option, set_option, settings_folder
from zdqn.cli.signals import stop_on_signals
from zdqn.cli.slurm_launch import SlurmLaunch, launch_on_slurm, refuse_with_slurm
from zdqn.errors import UsageError

if TYPE_CHECKING:
    from zdqn.launch.cluster.cluster_entry import LaunchOptions
    from zdqn.launch.cluster.cluster_plan import ClusterPlan


@click.command()
@click.argument("path", metavar="CLUSTER|RUN_DIR", type=click.Path(path_type=Path))
@set_option
@click.option("--run-dir", type=FOLDER, help="Keep the run's results here, not in a new folder.")
@click.option(
    "--resume",
    type=FOLDER,
    metavar="RUN_DIR",
    help="Go on with a run that was launched, from the newest checkpoint on its learner's host.",
)
@click.option("--slurm", is_flag=True, help="Submit jobs to Slurm, instead of using ssh.")
@click.option("--check", is_flag=True, help="Look at every host, and start nothing.")
@click.option("--dry-run", is_flag=True, help="Print the commands, and run none.")
@click.option("--local", is_flag=True, help="Play every host with a process of this machine.")
@click.option("--detach", is_flag=True, help="Have the hosts keep the run, and end this command.")
@click.option("--insecure", is_flag=True, help="Make no keys: nothing is encrypted.")
@click.option(
    "--add", metavar="ROLES=COUNT@HOST", help="Add clients to the run RUN_DIR: collectors=8@host5."
)
@click.option("--remove", metavar="HOST", help="Take a host out of the run RUN_DIR.")
@click.option(
    "--kubernetes", is_flag=True, help="Print manifests for `kubectl apply -f -`; start nothing."
)
@click.option(
    "--keys",
    type=FOLDER,
    metavar="DIR",
    help="With --kubernetes: keys of the run, made if there are none; by default "
    "zdqn/kubernetes/NAME in $XDG_CONFIG_HOME, or ~/.config.",
)
@log_level_option
@click.option("-v", "--verbose", is_flag=True, help="Show all that is logged.")
def launch(
    path: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    slurm: bool,
    check: bool,
    dry_run: bool,
    local: bool,
    detach: bool,
    insecure: bool,
    add: str | None,
    remove: str | None,
    kubernetes: bool,
    keys: Path | None,
    log_level: str,
    verbose: bool,
) -> None:
    """Train on several hosts: over ssh, with Slurm, or on Kubernetes.

    For Kubernetes it starts nothing itself, but prints what `kubectl apply -f -` takes.

    CLUSTER is a TOML file that says which host runs what, or what Slurm is asked for; see
    docs/deploy.md. With --add or --remove it is the folder of a run that goes on.

    Ctrl-C ends the run cleanly; twice ends it at once. `zdqn status`, `logs`, `restart` and `stop`
    of its folder work from any other terminal of this machine.
    """
    from zdqn.launch.cluster.cluster_entry import LaunchOptions, chosen_folder
    from zdqn.launch.cluster.cluster_entry import check as look
    from zdqn.launch.logs import configure_logging

    configure_logging(log_level)
    if kubernetes:
        _refuse_beside_kubernetes()
        _print_manifests(path, overrides, keys, secure=not insecure, log_level=log_level)
        return
    if keys is not None:
        raise UsageError(
            f"--keys is {keys}, but a run over ssh, or of Slurm, makes keys of its own. "
            f"Leave it out; it is for --kubernetes."
        )
    if add is not None or remove is not None:
        _change(path, add, remove)
        return
    if slurm:
        refuse_with_slurm(local=local, detach=detach, verbose=verbose)
        asked = SlurmLaunch(path, overrides, run_dir, resume, log_level, secure=not insecure)
        launch_on_slurm(asked, check=check, dry_run=dry_run)
        return
    plan = _plan(path, overrides)
    if dry_run:
        _print_commands(plan, local=local)
        return
    if check:
        show_findings(look(plan, local=local))
        return
    with chosen_folder(plan, run_dir, resume, stem=path.stem) as directory:
        click.echo(f"run directory: {directory}", err=True)
        options = LaunchOptions(
            directory=directory,
            local=local,
            secure=not insecure,
            resume=resume is not None,
            log_level=log_level,
            verbose=verbose,
        )
        _run(plan, options, detach=detach)


def _refuse_beside_kubernetes() -> None:
    """Refuse the options that are about hosts, or about what is started: nothing is."""
    context = click.get_current_context()
    about_hosts = ("run_dir", "resume", "slurm", "check", "dry_run", "local", "detach", "add",
                   "remove", "verbose")  # fmt: skip
    for name in about_hosts:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = name.replace("_", "-")
            raise UsageError(
                f"--kubernetes prints manifests and starts nothing, so that --{option} says "
                f"nothing beside it. Leave one of them out."
            )


def _print_manifests(
    path: Path, overrides: tuple[str, ...], keys: Path | None, *, secure: bool, log_level: str
) -> None:
    """Print what kubectl takes, and nothing else; what a person is told goes to standard error."""
    from zdqn.launch.cluster.cluster_file import load_cluster, load_cluster_config
    from zdqn.launch.kubernetes.kubernetes_plan import plan_kubernetes
    from zdqn.launch.kubernetes.manifests import write_manifests
    from zdqn.launch.kubernetes.pod_secrets import read_secrets

    if keys is not None and not secure:
        raise UsageError(
            f"--keys is {keys}, and --insecure makes a run without keys. Leave one of them out."
        )
    cluster = load_cluster(path)
    config = load_cluster_config(cluster, path, overrides)
    plan = plan_kubernetes(cluster, config, source=path)
    for line in plan.unused:
        _say(f"on Kubernetes this says nothing: {line}")
    folder = keys or settings_folder() / "kubernetes" / plan.name
    secrets = read_secrets(folder, _say) if secure else None
    click.echo(write_manifests(plan, secrets, log_level=log_level), nl=False)


def _plan(path: Path, overrides: tuple[str, ...]) -> ClusterPlan:
    from zdqn.launch.cluster.cluster_file import load_cluster, load_cluster_config
    from zdqn.launch.cluster.cluster_plan import plan_cluster

    cluster = load_cluster(path)
    config = load_cluster_config(cluster, path, overrides)
    return plan_cluster(cluster, config, source=path)


def _run(plan: ClusterPlan, options: LaunchOptions, *, detach: bool) -> None:
    from zdqn.launch.cluster import cluster_entry

    with stop_on_signals(sys.exit) as stop:
        if not detach:
            result = cluster_entry.launch(plan, options, stop=stop)
            print_summary(result.to_dict())
            return
        cluster_entry.launch_detached(plan, options, stop=stop)
    folder = options.directory
    say(f"It runs, and its hosts keep it. `zdqn status {folder}` shows it, `zdqn logs {folder} -f` "
        f"what it says, `zdqn stop {folder}` ends it and fetches its results.")  # fmt: skip


def _change(directory: Path, add: str | None, remove: str | None) -> None:
    """Give the launcher of a run an order, or its hosts, where they keep it."""
    from zdqn.launch.cluster.changes import change_run
    from zdqn.launch.waiting import shown_progress

    for kind, what in (("add", add), ("remove", remove)):
        if what is not None:
            with shown_progress(f"{kind} {what}: waiting for the hosts of {directory}"):
                done = change_run(directory, kind, what, _say)
            click.echo(done)


def _say(line: str) -> None:
    say(line, err=True)


def _print_commands(plan: ClusterPlan, *, local: bool) -> None:
    from zdqn.launch.cluster.cluster_plan import on_this_machine
    from zdqn.launch.cluster.connecting import describe_use
    from zdqn.launch.cluster.dry_run import describe_launch

    if local:
        plan = on_this_machine(plan, python=sys.executable, directory=Path.cwd())
    for line in describe_launch(plan, None if local else describe_use(plan)):
        click.echo(line)
