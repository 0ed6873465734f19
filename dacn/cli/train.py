"""``dacn train``."""

from pathlib import Path

import click

from dacn.cli.options import DEVICE, OTHER_DATA, OVERRIDES, RECIPE


@click.command()
@RECIPE
@OVERRIDES
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/NAME-seedN]")
@DEVICE
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="In place of the recipe's.")
@click.option("--resume", is_flag=True, help="Go on from the folder's last checkpoint, if there is one.")
@OTHER_DATA
@click.option("--force", is_flag=True, help="Overwrite the run that is in the folder.")
@click.option("--dry-run", is_flag=True, help="Print what would be trained, and how long it would take; write nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print all that each evaluation finds.")
@click.pass_obj
def command(
    typed: list[str],
    path: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    device: str,
    seed: int | None,
    resume: bool,
    other_data: bool,
    force: bool,
    verbose: bool,
    dry_run: bool,
) -> None:
    """Train what RECIPE, a YAML file or the name of one that `dacn recipes` lists, describes. A run's own recipe.yaml
    repeats it, from any folder.

    Relative paths in RECIPE start at the working directory, wherever RECIPE lies; ~ and $VARIABLES are expanded. The
    run's recipe.yaml has what came of them. With --resume the images may have moved, but must be the same ones, and
    train.steps may be more where the schedule does not depend on it.

    \b
    Example:
      dacn train digits_acn
      dacn train digits_acn --dry-run
      dacn train recipes/digits_acn.yaml --seed 1 --set train.steps=500 --set algorithm.threshold=0.8
      torchrun --nproc-per-node 2 -m dacn train recipes/digits_acn.yaml
    """
    if resume and force:
        raise click.UsageError("--resume goes on with the run that --force would remove: give one of them")
    from dacn.cli.tables import print_accuracies, print_by_context, print_unlabelled
    from dacn.machine.memory import keep_freed_memory
    from dacn.recipe.recipe import load_recipe
    from dacn.recipe.shipped import find_recipe
    from dacn.run.run import train_recipe
    from dacn.trainer.distributed import is_first_rank

    path = find_recipe(path)
    recipe = load_recipe(path, overrides, seed)
    out = out or Path("runs") / f"{recipe.name}-seed{recipe.seed}"
    keep_freed_memory()
    if dry_run:
        from dacn.cli.dry_run import print_dry_run

        print_dry_run(recipe, out, device)
        return
    small = path.with_name(f"{path.stem}_small.yaml")
    summary = train_recipe(
        recipe,
        out=out,
        device=device,
        resume=resume,
        force=force,
        other_data=other_data,
        faster=small if small.is_file() else None,
        command=typed,
        verbose=verbose,
    )
    if not is_first_rank():
        return
    print_accuracies(summary)
    click.echo()
    print_by_context(summary)
    if summary["target"]["selected"] is None:
        click.echo()
        print_unlabelled(summary.get("unlabelled"))
    spent = [f"{summary[part]:,.0f} s" for part in ("training_seconds", "evaluation_seconds")]
    click.echo(f"\n{spent[0]} of training, {spent[1]} of evaluation. The run is in {out}")
