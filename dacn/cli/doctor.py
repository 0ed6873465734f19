"""``dacn doctor``."""

import json
from pathlib import Path

import click

from dacn.cli.options import AS_JSON, DEVICE, OVERRIDES, RECIPE


@click.command()
@RECIPE
@OVERRIDES
@click.option("--steps", type=click.IntRange(1, 1000), default=20, show_default=True, help="Of training to try.")
@DEVICE
@AS_JSON
@click.pass_context
def command(
    context: click.Context, path: Path, overrides: tuple[str, ...], steps: int, device: str, as_json: bool
) -> None:
    """Look for what would spoil the run that RECIPE describes, before it is trained.

    A few steps are tried on a copy; nothing is written and nothing downloaded. Each finding says what was found, why it
    matters and which key to change. Exit codes: 0 no findings, or warnings only; 1 the run would surely fail, or would
    not be the method that it says; 2 the recipe itself is wrong.

    \b
    Example:
      dacn doctor recipes/digits_acn.yaml
      dacn doctor recipes/digits_acn.yaml --set optimizer.lr=10
    """
    from dacn.doctor.diagnose import diagnose
    from dacn.recipe.recipe import load_recipe
    from dacn.run.build import pick_device

    recipe = load_recipe(path, overrides)
    diagnosis = diagnose(recipe, steps=steps, device=pick_device(device))
    if as_json:
        findings = [{"check": check, **vars(finding)} for check, finding in diagnosis.findings]
        tree = {"recipe": recipe.name, "findings": findings, "checks": diagnosis.done, "notes": diagnosis.notes}
        click.echo(json.dumps(tree, indent=2))
        context.exit(int(diagnosis.failed))
    for check, finding in diagnosis.findings:
        click.echo(f"{finding.severity}: {check}: {finding.what}")
        click.echo(f"  why: {finding.why}")
        click.echo(f"  fix: {finding.key}: {finding.value}\n")
    for note in diagnosis.notes:
        click.echo(note)
    count = len(diagnosis.findings)
    found = "nothing found" if not count else "1 finding" if count == 1 else f"{count} findings"
    click.echo(f"{recipe.name}: {len(diagnosis.done)} checks, {found}")
    context.exit(int(diagnosis.failed))
