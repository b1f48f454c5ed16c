"""`estate gateway enrol`: photographs of one person, from files to the vault."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/gateway.toml"),
    show_default=True,
    help="配置文件  |  the configuration",
)
@click.option("--estate", required=True, help="小区编号  |  the estate's id")
@click.option("--person", required=True, help="人员编号  |  the person's id")
@click.argument(
    "photos", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
def enrol(config: Path, estate: str, person: str, photos: tuple[Path, ...]) -> None:
    """登记人脸：1 至 5 张照片，照片不保留  |  Enrol a face from 1 to 5 photographs; none is kept."""
    # numpy and the encoder are loaded only when somebody is enrolled.
    from gateway.enrolment_desk import enrol_files  # noqa: PLC0415

    try:
        done, sentences = enrol_files(config, estate, person, photos)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    for sentence in sentences:
        click.echo(sentence, err=not done)
    sys.exit(0 if done else 1)
