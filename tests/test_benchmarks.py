"""The benchmarks: their parts that measure nothing, and that each can be called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.nn import functional

from stemsplit.checkpoints import loading, msst_config, registry
from stemsplit.checkpoints.demucs_pickle import read as read_demucs

BENCHMARKS = Path(__file__).parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

# ruff: noqa: E402
import curves
import gpu
import peer_programs
import songs
import table
import training_speed
from flops import count_operations, kind_of
from lines import LINES, Measured, Settings, compare_scores
from peer_weights import write_weights
from peers import PEERS, Job, Weights, stemsplit
from processes import CommandFailed, Cost, limited_to, measure, measure_in_turn, pinned

SCRIPTS = (
    "table",
    "profile_model",
    "gpu",
    "gpu_steps",
    "curves",
    "against_demucs",
    "training_speed",
)
RUN = Cost(2.0, 1.0, 500.0)
SLOW = Cost(6.0, 3.0, 2000.0)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_explains_itself(name: str) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
    assert done.stderr == ""


# --- Training ------------------------------------------------------------------------------------


def test_steps_at_the_start_do_not_count_for_the_speed_of_training() -> None:
    times = {
        "ends": [50.0, 60.0, 61.0, 62.0, 63.0],
        "cpu": [5.0, 8.0, 9.0, 9.5, 10.0],
        "waits": [1.0, 3.0, 3.5, 3.6, 3.7],
        "parameters": 7,
    }
    run = training_speed.rate_of(times, 4, 48.0, 900.0)
    assert run == training_speed.Run(4.0, 8.0, pytest.approx(0.1), 2.0, 900.0, 7)


# --- The table -----------------------------------------------------------------------------------


def test_a_row_has_medians_and_the_range_of_the_pairs() -> None:
    measured = Measured("demucs 4.1.0", {"stemsplit": [RUN, RUN], "demucs": [SLOW, RUN]}, "-99 dB")
    row = table.format_line(LINES["htdemucs-60"], measured)
    assert row == (
        "| HTDemucs fp32, 60 s; demucs 4.1.0 | 1.85 × | yes | **2.00 (1.00 to 3.00)** "
        "| 2.00 (1.00 to 3.00) | 1.00 (1.00 to 1.00) | 2.00 (1.00 to 3.00) | -99 dB |"
    )
    assert row.count("|") == table.HEADER.splitlines()[1].count("|")


@pytest.mark.parametrize(
    ("name", "costs", "reached"),
    [
        ("htdemucs-60", [RUN, SLOW], True),
        ("htdemucs-60", [SLOW, RUN], False),
        ("rerun", [RUN], False),
        ("rerun", [Cost(9.0, 0.8, 1.0)], True),
        ("threads-umxhq", [Cost(1.0, 9.0, 1.0), Cost(2.0, 1.0, 1.0)], True),
        ("threads-folder", [RUN, SLOW], None),
    ],
)
def test_goals(name: str, costs: list[Cost], reached: bool | None) -> None:
    sides = dict(zip(("stemsplit", "other"), ([cost] for cost in costs), strict=False))
    assert table.reached(LINES[name], Measured("", sides)) is reached


def test_memory_is_compared_with_a_limit_or_with_theirs() -> None:
    measured = Measured("peer", {"stemsplit": [RUN], "peer": [SLOW]})
    row = table.format_memory(LINES["hdemucs"], "", measured)
    assert row == "| HDemucs, 240 s; peer | theirs | yes | **0.50** | 2.00 |"
    assert "| 0.4 | no |" in table.format_memory(LINES["spleeter"], "0.4", measured)


def test_sizes_can_be_overridden_but_one_song_stays_one() -> None:
    small = Settings(Path(), pairs=1, seconds=2.0, count=5)
    assert LINES["folder"].sized(small).count == 5
    line = LINES["umxhq"].sized(small)
    assert (line.count, line.pairs, line.seconds) == (1, 1, 2.0)
    assert LINES["umxhq"].sized(Settings(Path())) == LINES["umxhq"]


def test_a_missing_program_comes_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peers.version", lambda name: None)
    missing = PEERS["openunmix"].missing(None)
    assert missing == "not installed: pip install --no-deps openunmix==1.3.0 && pip install tqdm"
    monkeypatch.setattr("peers.version", lambda name: "4.1.0")
    assert PEERS["demucs"].missing(None) is None
    assert "--target FOLDER demucs==2.0.3" in str(PEERS["demucs_v2"].missing(None))


def test_unknown_lines_and_steps_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for parse in (table.parse, gpu.parse):
        with pytest.raises(SystemExit):
            parse(["--line", "nosuch", "--step", "nosuch"])
    assert "invalid choice: 'nosuch'" in capsys.readouterr().err
    assert table.parse(["--line", "umxhq", "--core", "1"]).line == ["umxhq"]


def test_scores_are_compared_frame_by_frame(tmp_path: Path) -> None:
    frames = [{"metrics": {"SDR": value}} for value in (1.0, None, 3.0)]
    ours = {"targets": [{"name": "vocals", "frames": frames}]}
    (tmp_path / "a.json").write_text(json.dumps(ours))
    (tmp_path / "b.json").write_text('{"vocals": {"SDR": [1.25, 9.0, NaN]}}')
    assert compare_scores(tmp_path / "a.json", tmp_path / "b.json") == 0.25


# --- Measuring -----------------------------------------------------------------------------------


def test_commands_are_measured_in_turn(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write = (
        "import sys, os; open(sys.argv[1], 'a').write(sys.argv[2] + os.environ['OMP_NUM_THREADS'])"
    )
    commands = {name: [sys.executable, "-c", write, str(log), name] for name in "ab"}
    costs = measure_in_turn(commands, 3, dict.fromkeys(commands, limited_to(1)))
    assert log.read_text() == "a1b1b1a1a1b1"
    assert all(len(runs) == 3 and min(run.cpu for run in runs) > 0 for runs in costs.values())


def test_a_command_that_fails_is_named_with_its_last_line() -> None:
    code = "import sys; print('first', file=sys.stderr); sys.exit('the reason')"
    with pytest.raises(CommandFailed, match=r"ended with 1: the reason$"):
        measure([sys.executable, "-c", code])
    with pytest.raises(CommandFailed, match="ended with -9"):
        measure([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)


def test_pinning_ends_with_its_block() -> None:
    import os

    before = os.sched_getaffinity(0)
    with pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_step_that_is_too_slow_or_fails_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "steps.py"
    script.write_text(
        "import sys, time\nprint('begun', flush=True)\n"
        "time.sleep(60) if sys.argv[1] == 'slow' else sys.exit('broken')\n"
    )
    monkeypatch.setattr(gpu, "STEPS", script)
    assert gpu.run_step("slow", "cpu", 1.0) == "## Slow: STOPPED after its 1 s\n\nbegun\n"
    failed = gpu.run_step("other", "cpu", 30.0)
    assert failed.startswith("## Other: FAILED with 1 after ")
    assert failed.endswith("begun\n\n```\nbroken\n```\n")


# --- Songs, stems and weights --------------------------------------------------------------------


def test_excerpts_follow_each_other_and_repeat(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    ramp = np.arange(66_150) / 66_150  # 1.5 s, mono
    soundfile.write(tmp_path / "songs" / "mixture.wav", ramp, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "songs" / "vocals.wav", ramp * 0, 44_100)
    songs.write_excerpts(tmp_path / "out", 1.0, 2, tmp_path / "songs")
    first, second = (soundfile.read(tmp_path / "out" / f"song{n}.wav")[0] for n in (0, 1))
    assert first.shape == second.shape == (44_100, 2)
    assert np.abs(first[:, 1] - ramp[:44_100]).max() < 1e-4
    assert np.abs(second[:22_050, 0] - ramp[44_100:]).max() < 1e-4
    assert np.abs(second[22_050:, 0] - ramp[:22_050]).max() < 1e-4


def test_the_worst_stem_and_the_worst_sample_count(tmp_path: Path) -> None:
    for folder, gain in (("ours", 0.9), ("theirs/model", 1.0)):
        (tmp_path / folder / "song").mkdir(parents=True)
        for name, scale in (("vocals", gain), ("drums", 1.0)):
            path = tmp_path / folder / "song" / f"{name}.wav"
            soundfile.write(path, np.full((9, 2), 0.5 * scale), 44_100, subtype="FLOAT")
    found = songs.compare_stems(tmp_path / "ours", tmp_path / "theirs")
    assert found.decibels == pytest.approx(20, abs=1e-4)
    assert found.largest == pytest.approx(0.05)
    assert str(found) == "-20 dB, 5e-02"
    assert str(songs.compare_stems(tmp_path / "ours", tmp_path / "ours")) == "equal"
    (tmp_path / "ours" / "song" / "drums.wav").unlink()
    with pytest.raises(ValueError, match="stems differ"):
        songs.compare_stems(tmp_path / "ours", tmp_path / "theirs")


@pytest.mark.parametrize(
    ("model", "kind"), [("tiny.bs_roformer", "bs_roformer"), ("tiny.scnet", "scnet")]
)
def test_what_the_trainer_gets_describes_our_network(model: str, kind: str, tmp_path: Path) -> None:
    weights = write_weights(model, "msst", tmp_path / "weights", None)
    network = loading.load(model)
    found = msst_config.read(weights.theirs / "config.yaml", kind)
    described = registry.resolve(model).architecture, network.overlap
    assert (found.architecture, found.overlap) == described
    assert {key: _plain(value) for key, value in found.config.items()} == {
        key: _plain(network.config[key]) for key in found.config
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("model", ["tiny.htdemucs", "tiny.hdemucs"])
def test_what_demucs_gets_is_our_network(model: str, tmp_path: Path) -> None:
    pytest.importorskip("demucs")
    weights = write_weights(model, "demucs", tmp_path / "weights", None)
    (path,) = weights.theirs.iterdir()
    read, network = read_demucs(path, {}), loading.load(model)
    assert {k: _plain(v) for k, v in read.config.items()} == {
        k: _plain(v) for k, v in network.config.items()
    }
    assert all(torch.equal(read.state[name], each) for name, each in network.state_dict().items())


def test_our_command_replaces_stems_unless_it_resumes(tmp_path: Path) -> None:
    job = Job([Path("a.wav")], Weights("tiny.htdemucs", Path(), False), Path("out"), 2)
    words = stemsplit(job)[1:]
    assert words == [
        "-m",
        "stemsplit",
        "a.wav",
        "-n",
        "tiny.htdemucs",
        "-d",
        "cpu",
        "--threads",
        "2",
        "-o",
        "out",
        "--force",
    ]
    assert "--force" not in stemsplit(Job(job.songs, job.weights, job.out, options=("--resume",)))


def test_a_package_without_its_own_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "needs_much"
    package.mkdir()
    (package / "__init__.py").write_text("import nosuchmodule\n")
    (package / "part.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    peer_programs.load_bare("needs_much")
    from needs_much.part import VALUE  # type: ignore[import-not-found]

    assert VALUE == 7


# --- Operations and pictures ---------------------------------------------------------------------


def test_operations_that_torch_does_not_count() -> None:
    x = torch.randn(1, 2, 16, 8)
    attention = lambda: functional.scaled_dot_product_attention(x, x, x)  # noqa: E731
    assert sum(count_operations(attention).values()) == 2 * 2 * 16 * 16 * 8 * 2
    lstm = nn.LSTM(8, 4, num_layers=2, bidirectional=True).requires_grad_(False)
    weights = sum(weight.numel() for weight in lstm.parameters() if weight.dim() == 2)
    steps = torch.randn(10, 3, 8)
    assert sum(count_operations(lambda: lstm(steps)).values()) == 2 * 10 * 3 * weights
    linear = nn.Linear(8, 4).requires_grad_(False)
    assert sum(count_operations(lambda: linear(steps)).values()) == 2 * 30 * 8 * 4


def test_operations_have_the_peak_of_their_kind() -> None:
    assert kind_of("aten.convolution") == "convolution"
    assert kind_of("aten._scaled_dot_product_flash_attention_for_cpu") == "attention"
    assert kind_of("aten.addmm") == kind_of("aten.lstm") == "product"


def test_the_picture_is_the_same_every_time(tmp_path: Path) -> None:
    points = {"stemsplit": [(5.0, RUN), (60.0, SLOW)], "demucs 4.1.0": [(5.0, SLOW)]}
    for name in ("a.svg", "b.svg"):
        curves.draw(points, "title", tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert all(word in text for word in (">title<", ">demucs 4.1.0<", "peak memory, GB"))


def test_a_row_of_the_curves() -> None:
    assert curves.format_row("60 s", 60.0, SLOW) == "| 60 s | 3.0 | 6.0 | 10.0 | 2.00 |"
