"""`estate gateway enrol | enrol-folder | kiosk`: how faces get into the vault."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from estate.processes import StartFailedError
from gateway.counter import ROSTER_WAIT_S, Counter
from gateway.enrolment import PHOTOS_RECOMMENDED, Refused
from gateway.kiosk.folder import FolderError, Row, candidates, enrol_folder, write_report
from gateway.settings import read_settings
from gateway.telling import CONFIG, told_plainly

OPERATOR = "system:command"  # who enrols where nobody logged in


@click.command("enrol")
@CONFIG
@click.option("--estate", required=True, help="小区  |  where the person lives")
@click.option("--person", required=True, help="人员编号  |  the person's id")
@click.argument(
    "photos", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
def enrol(config: Path, estate: str, person: str, photos: tuple[Path, ...]) -> None:
    """用一至五张照片登记人脸，照片不保留  |  Enrol a face from one to five photographs; none is kept."""
    settings = read_settings(config, [estate])
    with told_plainly(settings.state_folder), Counter(settings) as counter:
        outcome = counter.enrol(estate, person, [path.read_bytes() for path in photos], OPERATOR)
    if isinstance(outcome, Refused):
        for reason in outcome.reasons:
            click.echo(str(reason), err=True)
        sys.exit(1)
    click.echo(f"已登记，用了 {outcome.photos} 张照片  |  enrolled from {outcome.photos} photographs")
    if outcome.more_recommended:
        click.echo("照片越多认得越准，建议三张  |  three photographs recognise better")


@click.command("enrol-folder")
@CONFIG
@click.option("--estate", required=True, help="小区  |  where these people live")
@click.option(
    "--folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="每人一个子文件夹，以人员编号命名  |  a folder for each person in it, named by the person's id",
)
@click.option(
    "--report",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="结果表（CSV）  |  what became of each, as CSV",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="进程数  |  processes"
)
@click.option("--again", is_flag=True, help="已登记的也重新登记  |  also who is enrolled already")
def enrol_many(config: Path, estate: str, folder: Path, report: Path, workers: int, again: bool) -> None:
    """按文件夹批量登记，可中断后继续  |  Enrol everybody in a folder; may be stopped and taken up again.

    结束时写出结果表；有人没登记成功时退出状态为 1  |  Writes the report at its end; exit status 1 when
    somebody was not enrolled.
    """
    settings = read_settings(config, [estate])
    try:
        people = candidates(folder)
    except FolderError as error:
        raise StartFailedError(str(error)) from error
    rows: list[Row] = []
    with (
        told_plainly(settings.state_folder),
        # One still to come down from the city is waited for once, not once a person.
        Counter(
            settings, workers, 2 * workers, roster_wait_s=0 if len(people) > 1 else ROSTER_WAIT_S
        ) as counter,
        _progress() as bar,
    ):
        already = frozenset() if again else counter.enrolled(estate)
        task = bar.add_task("登记 enrolling", total=len(people))
        try:
            for row in enrol_folder(
                people,
                lambda person, photos: counter.enrol(estate, person, photos, OPERATOR),
                already,
                2 * workers,
            ):
                rows.append(row)
                bar.advance(task)
        finally:
            with report.open("w", encoding="utf-8-sig", newline="") as file:
                write_report(rows, file)
    done, few = sum(row.enrolled for row in rows), sum(0 < row.photos < PHOTOS_RECOMMENDED for row in rows)
    failed = len(people) - done
    click.echo(
        f"共 {len(people)} 人：已登记 {done}，未登记 {failed}，照片不足三张 {few}；见 {report}  |  "
        f"{len(people)} people: {done} enrolled, {failed} not, {few} with fewer than three photographs; "
        f"see {report}"
    )
    if done < len(people):
        sys.exit(1)


@click.command("kiosk")
@CONFIG
def kiosk(config: Path) -> None:
    """小区内网的人脸登记台  |  The enrolment page on the estate's LAN, until it is told to stop."""
    from gateway.kiosk.serving import serve_forever  # noqa: PLC0415 (the web server is loaded where it is needed)

    settings = read_settings(config)
    with told_plainly(settings.state_folder):
        serve_forever(settings, config)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
