"""A demo deletes the files of an earlier demo, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.demo.folder import DATA, MARKER, RESULTS, demo_folder
from cli.main import app
from cli.refusals import Refused


def contents(folder: Path) -> dict[str, str]:
    """Every file of the folder but the marker."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def run(folder: Path, *written: str, names: tuple[str, ...] = RESULTS) -> None:
    """A demo that writes these files."""
    with demo_folder(folder) as ours:
        ours.clear(*names)
        for name in written:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("a demo's")


def demo(out: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["demo", "--out", str(out), *options])


@pytest.mark.parametrize(
    "mine",
    ["data/mine.csv", "reports/mine.json", "rejected/a.csv", "emails/x.txt", "summary.json", "notes.txt", ".hidden"],
)
def test_a_folder_that_no_demo_wrote_is_refused_and_left_alone(tmp_path: Path, mine: str) -> None:
    (tmp_path / mine).parent.mkdir(exist_ok=True)
    (tmp_path / mine).write_text("mine")
    ended = demo(tmp_path)
    sentence = f"--out {tmp_path} is not empty, and no demo has written it; name a new or empty folder"
    assert (ended.exit_code, ended.stderr) == (2, f"pipeline demo: {sentence}\n")
    assert contents(tmp_path) == {mine: "mine"}
    assert not (tmp_path / MARKER).exists()


def test_the_next_demo_deletes_what_the_last_one_wrote(tmp_path: Path) -> None:
    run(tmp_path, "reports/a/1.json", "summary.json", "emails/1.txt")
    run(tmp_path, "reports/b/1.json")
    assert contents(tmp_path) == {"reports/b/1.json": "a demo's"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "reports"], "no empty folder is left either"


@pytest.mark.parametrize("mine", ["reports/mine.json", "data/mine.csv", "emails/deep/mine.txt", "summary.json"])
def test_a_strangers_file_in_a_demos_folder_stops_the_demo(tmp_path: Path, mine: str) -> None:
    run(tmp_path, "reports/a.json", "data/day.csv", names=(*RESULTS, DATA))
    (tmp_path / mine).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mine).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(Refused, match="no demo wrote this"):
        run(tmp_path, names=(*RESULTS, DATA))
    assert contents(tmp_path) == before


def test_files_beside_a_demos_own_are_kept(tmp_path: Path) -> None:
    run(tmp_path, "reports/a.json")
    (tmp_path / "notes.txt").write_text("mine")
    run(tmp_path)
    assert contents(tmp_path) == {"notes.txt": "mine"}


def test_data_that_no_demo_generated_never_becomes_a_demos(tmp_path: Path) -> None:
    run(tmp_path, "reports/a.json")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("mine")
    # A demo of --data does not write data/, so the files there are not its own.
    run(tmp_path, "reports/a.json")
    with pytest.raises(Refused, match=r"data/mine\.csv: no demo wrote this"):
        run(tmp_path, names=(DATA,))
    assert contents(tmp_path)["data/mine.csv"] == "mine"


def test_what_a_killed_demo_left_is_cleared(tmp_path: Path) -> None:
    folder = demo_folder(tmp_path)
    folder.__enter__().clear(*RESULTS)
    (tmp_path / "summary.json").write_text("half")
    # A killed demo never reaches its end, but its lock is released.
    del folder
    run(tmp_path)
    assert contents(tmp_path) == {}


def test_a_link_is_removed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    with demo_folder(out) as ours:
        ours.clear(*RESULTS)
        (out / "reports").symlink_to(outside)
    run(out)
    assert contents(outside) == {"mine.txt": "mine"}


def test_a_second_demo_into_a_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with demo_folder(out):
        ended = demo(out)
        assert ended.exit_code == 2
        assert ended.stderr.startswith(f"pipeline demo: another demo is writing to {out}; wait until it ends")
    run(out)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    ended = demo(tmp_path / "out")
    assert (ended.exit_code, "is a file; name a folder" in ended.stderr) == (2, True)
    assert (tmp_path / "out").read_text() == "mine"
