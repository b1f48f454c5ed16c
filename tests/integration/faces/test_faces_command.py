"""`estate faces …` from outside, on invented people."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from gateway.matching.commands import faces
from gateway.matching.evaluate import evaluate
from gateway.matching.table import load_table
from gateway.matching.templates import DLIB_ENCODER
from tests.unit.faces.people import make_centres, picture
from tests.unit.faces.test_draws import PEOPLE


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(faces, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty people of eight pictures, four hundred of three, two hundred of one."""
    random = np.random.default_rng(1)
    counts = [8] * 60 + [3] * 400 + [1] * 200
    centres = make_centres(len(counts), random)
    rows = np.concatenate([picture(c, random, n) for c, n in zip(centres, counts, strict=True)])
    path = tmp_path_factory.mktemp("faces") / "invented.npz"
    np.savez(
        path,
        templates=rows.astype(np.float16),
        persons=np.repeat([f"n{number:04}" for number in range(len(counts))], counts),
    )
    return path


def test_evaluate_prints_what_the_protocol_asks_for(templates: Path, tmp_path: Path) -> None:
    plot = tmp_path / "det.png"
    done = run(
        *("evaluate", "--templates", templates, "--fpir", "0.003", "--gallery-sizes", "50,300"),
        *("--photos", "3", "--frames", "1,3", "--draws", "3", "--json", "--det", plot),
    )
    assert done.exit_code == 0, done.output
    results = json.loads(done.output)
    assert [(one["gallery_size"], one["photos"], one["frames"]) for one in results] == [
        *((50, 3, 1), (300, 3, 1), (50, 3, 3), (300, 3, 3)),
    ]
    for one in results:
        for rate in ("fpir", "fnir"):
            low, high = one[f"{rate}_ci"]
            assert 0 <= low <= one[rate] <= high <= 1
        assert one["fpir_ci"][0] <= 0.003
        assert one["unsure"] <= one["fnir"]
        assert one["probes"] > 0
        assert one["strangers"] > 0
        assert isinstance(one["threshold"], float)
    with Image.open(plot) as picture_of_it:
        assert picture_of_it.format == "PNG"
        assert picture_of_it.size[0] > 600


def test_evaluate_for_people_is_a_table_with_the_librarys_rule_beside_it(templates: Path) -> None:
    done = run("evaluate", "--templates", templates, "--gallery-sizes", "50", "--frames", "1")
    assert done.exit_code == 0
    assert "0.6 rule" in done.output
    assert "0.30%" in done.output


def test_the_same_seed_gives_the_same_figures(templates: Path) -> None:
    call = (
        "evaluate",
        "--templates",
        templates,
        "--gallery-sizes",
        "50",
        "--frames",
        "1",
        "--draws",
        "2",
        "--json",
    )
    first, again, other = run(*call), run(*call), run(*call, "--seed", "2")
    assert first.output == again.output != other.output


def test_people_that_look_alike_raise_the_threshold_instead_of_the_false_identifications() -> None:
    result = evaluate(PEOPLE, 100, 3, 1, 0.003, draws=3)
    strict = evaluate(PEOPLE, 100, 3, 1, 0.0005, draws=3)
    assert strict.threshold > result.threshold
    assert strict.fnir.value >= result.fnir.value
    # Invented faces lie evenly around; the default rule lets most strangers in all the same.
    assert result.library_fpir > 0.5
    assert result.fpir.value <= 0.01


def test_a_size_that_does_not_fit_is_refused_with_the_largest_that_does(templates: Path) -> None:
    done = run("evaluate", "--templates", templates, "--gallery-sizes", "50,5000", "--json")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    largest = next(word for word in done.output.split() if word.isdigit() and 100 < int(word) < 5000)
    assert (
        run("evaluate", "--templates", templates, "--gallery-sizes", largest, "--draws", "1").exit_code == 0
    )
    over = str(int(largest) + 1)
    assert run("evaluate", "--templates", templates, "--gallery-sizes", over).exit_code == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--gallery-sizes", "0"),
        ("--gallery-sizes", "ten"),
        ("--frames", "1,-3"),
        ("--photos", "0"),
        ("--fpir", "0"),
        ("--fpir", "0.9"),
    ],
)
def test_a_wrong_option_is_refused_by_name(templates: Path, options: tuple[str, str]) -> None:
    done = run("evaluate", "--templates", templates, *options)
    assert done.exit_code == 2
    assert options[0] in done.output


@pytest.mark.parametrize("command", ["evaluate", "compare", "thresholds"])
def test_a_file_of_something_else_is_one_sentence(tmp_path: Path, command: str) -> None:
    path = tmp_path / "faces.npz"
    path.write_bytes(b"something else")
    extra = ("--source", "nobody") if command == "thresholds" else ()
    done = run(command, "--templates", path, *extra)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert str(path) in done.output


def test_the_ways_of_scoring_are_compared_on_the_same_draws(templates: Path) -> None:
    done = run("compare", "--templates", templates, "--gallery-sizes", "100", "--frames", "1", "--draws", "1")
    assert done.exit_code == 0, done.output
    rows = [line.split("|")[1].strip() for line in done.output.splitlines()[2:]]
    assert len(rows) >= 5
    assert "mean beside neighbours" in rows


def test_a_measured_table_is_one_that_doors_can_read(templates: Path, tmp_path: Path) -> None:
    done = run(
        "thresholds",
        "--templates",
        templates,
        "--source",
        "invented people",
        "--gallery-sizes",
        "1,10,100",
        "--draws",
        "1",
    )
    assert done.exit_code == 0, done.output
    path = tmp_path / "thresholds.toml"
    path.write_text(done.output, "utf-8")
    table = load_table(path)
    assert (table.source, table.encoder) == ("invented people", DLIB_ENCODER)
    assert [row.gallery_size for row in table.row] == [1, 10, 100]
