"""The registry: every entry is valid, and errors in one are reported with their place."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from registered import OwnRegistry, ensemble

from stemsplit.checkpoints import entries, registry
from stemsplit.checkpoints.compiled_registry import read_compiled
from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.loading import members
from stemsplit.errors import CheckpointError, UsageError

MODELS = registry.list_models()
NETWORKS = [model for model in MODELS if not model.members]
ENSEMBLES = [model for model in MODELS if model.members]

NETWORK = """
[models.mine]
description = "d"
architecture = "htdemucs:HTDemucs"
stems = ["vocals", "rest"]
sample_rate = 44100
channels = 2
segment = 1000
licence = "MIT"
training_data = "none"
"""
SOURCE = f"""
[[models.mine.sources]]
format = "safetensors"
files = [{{ address = "https://example.org/a.th", sha256 = "{"0" * 64}" }}]
"""


def read(own_registry: OwnRegistry, text: str) -> dict[str, Model]:
    own_registry.write(text)
    return {model.name: model for model in registry.list_models()}


def test_names() -> None:
    names = [model.name for model in MODELS]
    assert {"htdemucs", "htdemucs_ft", "htdemucs_6s", "spleeter_2stems"} <= set(names)
    # Folders of the cache are named after models, also where upper and lower case are one.
    assert len({name.casefold() for name in names}) == len(names)


@pytest.mark.parametrize("name", ["mdx_q", "mdx_extra_q"])
def test_an_omitted_model_is_reported_with_the_reason(name: str) -> None:
    whole = name.removesuffix("_q")
    with pytest.raises(UsageError, match=f"no model '{name}': .* diffq, .*; use .* {whole}"):
        registry.resolve(name)
    assert registry.resolve(whole).members


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        ("umxl", "open_unmix.umxl"),
        ("htdemucs_ft.yaml", "htdemucs_ft"),
        ("HTDemucs-FT", "htdemucs_ft"),
        ("spleeter:2stems", "spleeter_2stems"),
        ("spleeter:5stems-16kHz", "spleeter_5stems_16khz"),
        ("955717e8", "htdemucs"),
        ("955717e8-8726e21a", "htdemucs"),
        ("955717e8-8726e21a.th", "htdemucs"),
        ("model_bs_roformer_ep_317_sdr_12.9755.ckpt", "bs_roformer.viperx_1297"),
        ("vocals_mel_band_roformer.ckpt", "mel_band_roformer.kim"),
        ("MDX23C-DrumSep-aufr33-jarredou.ckpt", "mdx23c.drumsep"),
    ],
)
def test_a_model_is_found_by_its_name_in_other_programs(theirs: str, name: str) -> None:
    assert registry.resolve(theirs).name == name
    assert registry.local_file(theirs) is None
    assert members(f"{theirs}, {name}") == members(theirs) == (name,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("UVR-MDX-NET-Inst_HQ_3.onnx", "MDX-Net networks are not supported"),
        ("UVR-MDX-NET-Inst_HQ_3", "MDX-Net networks are not supported"),
        ("UVR_MDXNET_KARA_2.onnx", "MDX-Net networks are not supported"),
        ("Kim_Vocal_2.onnx", "MDX-Net networks are not supported"),
        ("kuielab_a_drums.onnx", "MDX-Net networks are not supported"),
        ("2_HP-UVR.pth", "the VR networks of UVR are not supported"),
        ("17_HP-Wind_Inst-UVR.pth", "the VR networks of UVR are not supported"),
        ("13_SP-UVR-4B-44100-1.pth", "the VR networks of UVR are not supported"),
        ("UVR-DeEcho-DeReverb.pth", "the VR networks of UVR are not supported"),
        ("hf://adefossez/HTDemucs", "download the file and use its path"),
    ],
)
def test_models_of_other_programs_that_are_not_supported(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=f"^no model '{name}': .*{reason}$"):
        registry.local_file(name)
    if "/" not in name:  # a file of that name is read
        monkeypatch.chdir(tmp_path)
        Path(name).touch()
        assert registry.local_file(name) == Path(name)


def test_omitted_models_are_recognised_by_other_names_too() -> None:
    with pytest.raises(UsageError, match=r"no model 'mdx_extra_q\.yaml': .* diffq"):
        registry.resolve("mdx_extra_q.yaml")


def test_a_file_takes_precedence_over_another_name_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("umxl").write_bytes(b"")
    assert registry.local_file("umxl") == Path("umxl")
    assert members("umxl") == ("umxl",)
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        registry.local_file("./955717e8-8726e21a.th")


def test_a_file_of_several_models_names_none() -> None:
    files = [
        [source.files for source in registry.resolve(name).sources if len(source.files) == 1]
        for name in ("spleeter_2stems", "spleeter_2stems_16khz")
    ]
    assert files[0] == files[1]
    name = files[0][0][0].address.rpartition("/")[2]
    assert registry.canonical(name) == name


def test_an_alias_names_a_model(own_registry: OwnRegistry) -> None:
    alias = '[aliases]\nmine = "htdemucs"\n[models]\n'
    read(own_registry, alias)
    assert registry.resolve("mine").name == "htdemucs"
    with pytest.raises(UsageError, match=r"registry: aliases\.mine: no model 'nosuch'"):
        read(own_registry, alias.replace("htdemucs", "nosuch"))


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: model.name)
def test_a_network_is_what_its_entry_says(model: Model) -> None:
    import torch

    from stemsplit.models import build

    with torch.device("meta"):
        network = build(model.architecture, model.config)
    assert (network.segment, network.sample_rate, network.channels, network.sources) == (
        model.segment,
        model.sample_rate,
        model.channels,
        model.stems,
    )


@pytest.mark.parametrize("model", ENSEMBLES, ids=lambda model: model.name)
def test_an_ensemble_has_all_its_members(model: Model) -> None:
    assert len(model.weights) == len(model.members)
    for name in model.members:
        assert registry.resolve(name).architecture


def test_official_addresses_come_first_and_agree_with_their_digests() -> None:
    for model in NETWORKS:
        if not model.name.startswith("htdemucs"):
            continue
        file = model.sources[0].files[0]
        assert file.address.startswith(
            "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"
        ), model.name
        match = re.search(r"-([0-9a-f]{8})\.th$", file.address)
        assert match is not None
        assert file.sha256.startswith(match[1])
        assert model.sources[0].format == "demucs.th"


@pytest.mark.parametrize(
    "model", [m for m in NETWORKS if m.sources and m.sources[0].format == "demucs.th"]
)
def test_the_files_of_demucs_have_a_second_address(model: Model) -> None:
    official, *others = [source.files[0] for source in model.sources]
    hub = [file for file in others if file.address.startswith("https://huggingface.co/adefossez/")]
    if model.name.startswith("demucs_v1"):
        assert others == []  # their author has not moved them
        return
    [file] = hub
    signature = official.address.rpartition("/")[2].partition("-")[0]
    assert file.address.endswith(f"/resolve/main/{signature}.safetensors")
    assert (file.sha256 is not None) is model.name.startswith("htdemucs")


def test_a_file_has_the_same_facts_wherever_it_is_named() -> None:
    facts: dict[str, set[entries.RemoteFile]] = {}
    for model in NETWORKS:
        for file in (file for source in model.sources for file in source.files):
            facts.setdefault(file.address, set()).add(file)
    assert len(facts) > 50
    assert [address for address, files in facts.items() if len(files) > 1] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_licence_has_a_source(model: Model) -> None:
    assert model.licence_source is not None
    trained = bool(model.sources or model.members) and not model.name.startswith("tiny.")
    assert model.licence_source.startswith("https://") is trained
    if model.licence == "none stated":
        assert model.commercial == "unclear"
    if "NC" in model.licence or "non-commercial" in model.licence:
        assert model.commercial == "no"


@pytest.mark.parametrize(
    ("name", "licence", "commercial"),
    [
        ("htdemucs", "for scientific purposes only", "no"),
        ("htdemucs_ft.bass", "for scientific purposes only", "no"),
        ("mdx_extra", "for scientific purposes only", "no"),
        ("demucs_v1", "for scientific purposes only", "no"),
        ("conv_tasnet", "for scientific purposes only", "no"),
        ("mel_band_roformer.kim", "MIT", "yes"),
        ("mel_band_roformer.deux", "CC BY-NC 4.0", "no"),
        ("mel_band_roformer.guitar", "non-commercial use, according to its author", "no"),
        ("mel_band_roformer.karaoke_becruily", "non-commercial use, according to its author", "no"),
        ("mel_band_roformer.dereverb", "GPL-3.0", "yes"),
        ("mel_band_roformer.dereverb_echo", "CC BY-NC-SA 4.0", "no"),
        ("mel_band_roformer.denoise_aggressive", "none stated", "unclear"),
        ("bs_roformer.karaoke_frazer", "none stated", "unclear"),
        ("mdx23c.drumsep_5stems", "none stated", "unclear"),
        ("bs_roformer.karaoke", "GPL-3.0 in two mirrors, none stated in a third", "unclear"),
        ("bs_roformer.viperx_1297", "none stated", "unclear"),
        ("scnet.large", "MIT", "yes"),
        ("scnet.xl", "none stated", "unclear"),
        ("open_unmix.umxl", "CC BY-NC-SA 4.0", "no"),
        ("open_unmix.umxhq", "MIT", "yes"),
        ("spleeter_4stems", "MIT", "yes"),
        ("hdemucs_high_musdb", "none stated", "unclear"),
        ("hpss", "MIT", "yes"),
    ],
)
def test_licences(name: str, licence: str, commercial: str) -> None:
    model = registry.resolve(name)
    assert (model.licence, model.commercial) == (licence, commercial)


def test_published_scores() -> None:
    scores = registry.resolve("htdemucs_ft").scores[0]
    assert scores.metric == "cSDR"
    assert sum(scores.values.values()) / 4 == pytest.approx(9.00, abs=0.005)
    (scores,) = registry.resolve("htdemucs").scores
    assert sum(scores.values.values()) / 4 == pytest.approx(9.16, abs=0.005)
    musdb, multisong = registry.resolve("bs_roformer.musdb18").scores
    assert sum(musdb.values.values()) / 4 == pytest.approx(9.65, abs=0.005)
    assert sum(multisong.values.values()) / 4 == pytest.approx(9.38, abs=0.005)
    assert registry.resolve("mdx23c.drumsep").scores[0].mean == 10.8059
    # The figure of another file, and figures that no page was found to have.
    for name in ("mdx23c.instvoc_hq", "bs_roformer.resurrection", "mel_band_roformer.deux"):
        assert registry.resolve(name).scores == ()


def test_every_score_names_its_source() -> None:
    for model in MODELS:
        for scores in model.scores:
            assert scores.source.startswith("https://") or scores.source in {
                "the name of its file",
                "measured with this program",
            }, model.name


def test_sizes_are_there_for_most_files() -> None:
    files = {file for model in NETWORKS for source in model.sources for file in source.files}
    assert len([file for file in files if file.size is None]) == 46
    assert registry.resolve("htdemucs").sources[0].files[0].size == 84_141_911


def test_every_model_is_in_a_group() -> None:
    groups = registry.list_groups()
    assert sorted(m.name for each in groups.values() for m in each) == sorted(
        model.name for model in MODELS
    )
    assert registry.UNSORTED not in groups  # name the module in [groups] of registry.toml
    modules = {str(model.architecture).partition(":")[0] for model in MODELS}
    for name, listed in registry._registry().groups.items():
        assert set(listed) <= modules, f"[groups] {name!r} has a network that no model is of"
    assert {m.name for m in groups["Hybrid"]} >= {"htdemucs", "htdemucs_ft", "htdemucs_ft.bass"}
    assert [m.name for m in groups[registry.SMALL]] == [
        m.name for m in MODELS if m.name.startswith("tiny.")
    ]


def test_a_custom_registry_has_its_own_groups(own_registry: OwnRegistry) -> None:
    own = (NETWORK + SOURCE).replace("htdemucs:HTDemucs", "mynet:Net")
    assert registry.group_of(read(own_registry, own)["mine"]) == "Others"
    models = read(own_registry, '[groups]\nOurs = ["mynet"]\n' + own)
    assert registry.group_of(models["mine"]) == "Ours"
    assert registry.group_of(models["htdemucs"]) == "Hybrid"


def test_formats_are_those_that_can_be_converted() -> None:
    from stemsplit.checkpoints import convert

    assert set(entries.FORMATS) == set(convert.FORMATS) - convert.LOCAL


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        registry.resolve("htdemuc")
    assert str(caught.value) == "no model 'htdemuc'"
    assert caught.value.hint is not None
    assert "did you mean htdemucs?" in caught.value.hint
    assert "stemsplit models list" in caught.value.hint
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError) as caught:
        registry.resolve("qqqqqq")
    assert caught.value.hint == "stemsplit models list shows all models"


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("kim", "mel_band_roformer.kim or mel_band_roformer.kim_bleedless"),
        ("Dereverb-Echo", "mel_band_roformer.dereverb_echo"),
        ("guitar", "mel_band_roformer.guitar"),
        ("spleeter", "spleeter_2stems or spleeter_4stems or spleeter_5stems"),
        ("htdemucs-fast", "htdemucs_ft"),
        ("tiny.spleter", "tiny.spleeter"),
    ],
)
def test_names_that_were_probably_meant(name: str, models: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.resolve(name)
    assert caught.value.hint == f"did you mean {models}? stemsplit models list shows all models"


@pytest.mark.parametrize(
    ("stem", "hint"),
    [
        ("Vocal", "did you mean vocals? its stems are: drums, bass, other, vocals"),
        ("acapella", "did you mean vocals? its stems are: drums, bass, other, vocals"),
        ("karaoke", "did you mean instrumental? its stems are: drums, bass, other, vocals"),
        ("no_bass", "use --two-stems bass, which writes no_bass"),
        ("kazoo", "its stems are: drums, bass, other, vocals"),
        (
            "guitar",
            "its stems are: drums, bass, other, vocals; for models with it: "
            "stemsplit models list --stem guitar",
        ),
    ],
)
def test_hints_at_stems(stem: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.check_stems(registry.resolve("htdemucs"), [stem])
    assert caught.value.hint == hint


def test_a_file_is_distinguished_from_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "htdemucs", "mine.th"):
        (tmp_path / name).write_bytes(b"x")
    assert registry.local_file("htdemucs") is None  # a name wins over a file of this folder
    assert registry.local_file("./htdemucs") == Path("htdemucs")
    assert registry.local_file("plain") == Path("plain")
    assert registry.local_file("mine.th") == Path("mine.th")
    assert registry.local_file("htdemucs_ft.drums") is None
    assert registry.local_file("nothing") is None


@pytest.mark.parametrize("name", ["absent.th", "absent.SAFETENSORS", "no/such", "./absent"])
def test_a_missing_file(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint file") as caught:
        registry.local_file(name)
    assert caught.value.path == name


def test_a_folder_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        registry.local_file(str(tmp_path))


def test_stems_are_checked() -> None:
    model = registry.resolve("htdemucs_6s")
    registry.check_stems(model, ["piano", "vocals"])
    with pytest.raises(UsageError, match="htdemucs_6s has no stem 'organ'") as caught:
        registry.check_stems(model, ["vocals", "organ"])
    assert caught.value.hint == "its stems are: drums, bass, other, vocals, guitar, piano"


def test_members_that_count() -> None:
    model = registry.resolve("htdemucs_ft")
    assert registry.members_for(model) == [0, 1, 2, 3]
    assert registry.members_for(model, ["vocals", "bass"]) == [1, 3]
    assert registry.members_for(registry.resolve("tiny.htdemucs_ft"), ["other"]) == [0, 1]


def test_a_custom_registry_adds_and_replaces_models(own_registry: OwnRegistry) -> None:
    text = (NETWORK + SOURCE).replace("mine", "htdemucs") + NETWORK + SOURCE
    models = read(own_registry, text)
    assert models["mine"].stems == ("vocals", "rest")
    assert models["htdemucs"].sources[0].files[0].address == "https://example.org/a.th"
    assert "htdemucs_6s" in models


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NETWORK, "models.mine: needs one of sources, seed and without_weights"),
        (NETWORK + "seed = 1" + SOURCE, "needs one of sources, seed"),
        (NETWORK + "sede = 1" + SOURCE, "models.mine: unknown key sede"),
        (NETWORK + "weights = [[1.0]]\nseed = 1", "has weights, but no members"),
        (NETWORK + 'members = ["htdemucs"]', "an ensemble has no architecture"),
        (NETWORK + "seed = true", "seed must be a whole number, not True"),
        (NETWORK.replace("44100", '"44100"'), "sample_rate must be a whole number, not '44100'"),
        (NETWORK.replace("1000", "0"), "segment must be above 0, not 0"),
        (NETWORK.replace('licence = "MIT"\n', ""), "models.mine: licence is missing"),
        (NETWORK + 'commercial = "maybe"\n', "commercial must be one of yes, no, unclear, not 'ma"),
        (NETWORK + "commercial = true\n", "models.mine: commercial must be text, not True"),
        (NETWORK + "licence_source = 1\n", "models.mine: licence_source must be text, not 1"),
        (NETWORK + 'license_source = "x"\n', "models.mine: unknown key license_source"),
        (
            NETWORK + 'scores = [{ metric = "m", dataset = "d", source = "s" }]\n',
            "models.mine.scores[0]: needs either values or mean",
        ),
        (
            NETWORK + 'scores = [{ metric = "m", dataset = "d", source = "s", mean = 1 }]\n',
            "models.mine.scores[0]: mean must be a number, not 1",
        ),
        (NETWORK.replace('"vocals", "rest"', '"a", "a"'), "stems contains duplicates"),
        (NETWORK.replace('"vocals", "rest"', ""), "stems is empty"),
        (NETWORK.replace('"vocals", "rest"', "1"), "stems must be a list of names"),
        (NETWORK.replace("htdemucs:", "os.path:"), "architecture must read module:Class"),
        (NETWORK.replace("[models.mine]", '[models."../up"]'), "a name may have letters"),
        (NETWORK.replace("[models.mine]", '[models."mine.th"]'), "a name may have letters"),
        (NETWORK + SOURCE.replace("safetensors", "zip"), "sources[0]: format must be one of"),
        (NETWORK + SOURCE.replace("00", "0F"), "files[0]: sha256 must be 64"),
        (NETWORK + SOURCE.replace("sha256", "sha256_prefix"), "files[0]: sha256_prefix must be 8"),
        (
            NETWORK + SOURCE.replace("sha256", 'sha256_prefix = "01234567", sha256'),
            "sha256_prefix must be 8 to 63 hex digits, and replaces sha256",
        ),
        (
            NETWORK + "without_weights = true" + SOURCE,
            "needs one of sources, seed and without_weights = true",
        ),
        (NETWORK + "without_weights = 1", "without_weights must be true or false, not 1"),
        (NETWORK + "overlap = 1.0" + SOURCE, "overlap must be a fraction from 0 to 0.99, not 1.0"),
        (NETWORK + 'window = "hann"' + SOURCE, "window must be one of triangle, fade, not 'hann'"),
        (
            NETWORK.replace('architecture = "htdemucs:HTDemucs"', "seed = 1"),
            "needs an architecture",
        ),
        ("[groups]\nA = 1\n" + NETWORK + SOURCE, "groups: A must be a list, not 1"),
        (NETWORK + SOURCE.replace("https:", "http:"), "plain http is allowed only on this machine"),
        (
            NETWORK + SOURCE.replace("https://", "http://127.0.0.1."),
            "plain http is allowed only on this machine",
        ),
        (NETWORK + SOURCE.replace("https:", "ftp:"), "address must be an https: or file: URL"),
        (NETWORK + SOURCE.replace("https://example.org", "npm:-x@1!"), "address must be"),
        (NETWORK + SOURCE.replace("https://example.org", "pypi:x@1!"), "address must be"),
        (NETWORK + SOURCE.replace("files = ", "file = "), "unknown key file"),
        ("[model]\n", "the file: models is missing"),
        ("models = 1", "models must be a table, not 1"),
        ("[models", "registry: not TOML"),
    ],
)
def test_invalid_entries_are_reported(own_registry: OwnRegistry, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(own_registry, text)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(own_registry.path))


# --- Defaults -------------------------------------------------------------------------------------

DEFAULTS = """
[defaults.scores.contest]
metric = "uSDR"
dataset = "a test set"
source = "a paper"

[defaults.models.family]
architecture = "htdemucs:HTDemucs"
config = { channels = 8, depth = 4 }
stems = ["vocals", "rest"]
sample_rate = 44100
channels = 2
segment = 1000
licence = "MIT"
licence_note = "{name}: ask {name}'s author"
training_data = "none"
overlap = 0.5

[[defaults.models.family.sources]]
format = "safetensors"
files = [{ address = "https://example.org/a.th" }]

[models.plain]
like = "family"
description = "d"
"""
OTHER = """
[models.other]
like = "family"
description = "d"
config = { depth = 3, nfft = 2048 }
stems = ["a", "b"]
licence_note = "{name} stays"
overlap = 0.75
scores = [{ like = "contest", dataset = "another", values = { a = 1.0 } }]
"""


def test_a_model_has_what_its_defaults_say(own_registry: OwnRegistry) -> None:
    models = read(own_registry, DEFAULTS + OTHER)
    text = """
[models.plain]
description = "d"
architecture = "htdemucs:HTDemucs"
config = { channels = 8, depth = 4 }
stems = ["vocals", "rest"]
sample_rate = 44100
channels = 2
segment = 1000
licence = "MIT"
licence_note = "plain: ask plain's author"
training_data = "none"
overlap = 0.5
sources = [{ format = "safetensors", files = [{ address = "https://example.org/a.th" }] }]
"""
    assert models["plain"] == read(own_registry, text)["plain"]


def test_what_a_table_says_itself_counts_before_its_defaults(own_registry: OwnRegistry) -> None:
    models = read(own_registry, DEFAULTS + OTHER)
    other = models["other"]
    assert (other.stems, other.overlap, other.licence_note) == (("a", "b"), 0.75, "{name} stays")
    assert other.sources == models["plain"].sources
    assert other.scores == (
        entries.Scores(metric="uSDR", dataset="another", source="a paper", values={"a": 1.0}),
    )
    # Key by key, in the order of the defaults: digests of settings depend on it.
    assert list(other.config.items()) == [("channels", 8), ("depth", 3), ("nfft", 2048)]
    assert models["plain"].config == {"channels": 8, "depth": 4}


def test_the_configuration_says_some_facts_for_the_model(own_registry: OwnRegistry) -> None:
    config = 'config = { sources = ["a"], segment = 500, sample_rate = 8000, channels = 4 }\n'
    inherits = DEFAULTS + OTHER.replace("config = { depth = 3, nfft = 2048 }", config).replace(
        'stems = ["a", "b"]\n', ""
    )
    other = read(own_registry, inherits)["other"]
    assert (other.stems, other.segment, other.sample_rate) == (("a",), 500, 8000)
    assert other.channels == 2  # which means something else in a configuration
    for line in ('stems = ["vocals", "rest"]\n', "segment = 1000\n", "sample_rate = 44100\n"):
        assert line in NETWORK
    alone = "".join(
        line
        for line in NETWORK.splitlines(keepends=True)
        if not line.startswith(("stems", "segment", "sample_rate"))
    )
    mine = read(own_registry, alone + config + SOURCE)["mine"]
    assert (mine.stems, mine.segment, mine.sample_rate) == (("a",), 500, 8000)
    both = read(own_registry, NETWORK + config + SOURCE)["mine"]
    assert (both.stems, both.segment, both.sample_rate) == (("vocals", "rest"), 1000, 44_100)
    # Only the network itself refuses what nothing here asks for.
    assert "mine" in read(own_registry, NETWORK + "config = { sources = 1 }\n" + SOURCE)
    with pytest.raises(UsageError, match=r"models\.other\.config: sources must be a list, not 1"):
        read(own_registry, inherits.replace('sources = ["a"]', "sources = 1"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('like = "family"', 'like = "famly"', "models.plain: like = 'famly': this file has no [d"),
        ('like = "family"', "like = 1", "models.plain: like must be text, not 1"),
        ('like = "family"', 'like = "contest"', "this file has no [defaults.models.contest]"),
        ('like = "family"', 'like = "tiny"', "this file has no [defaults.models.tiny]"),
        ('like = "contest"', 'like = "family"', "other.scores[0]: like = 'family': this file has"),
        ('like = "contest"', 'source = "x", metric = "y"', "defaults.scores.contest: is unused"),
        ("[models.plain]", "[defaults.models.b]\n[models.plain]", "models.b: is unused: no table"),
        ("overlap = 0.5", "overlpa = 0.5", "defaults.models.family: unknown key overlpa"),
        ("overlap = 0.5", 'like = "family"', "defaults.models.family: unknown key like"),
        ("overlap = 0.5", 'name = "x"', "defaults.models.family: unknown key name"),
        ("overlap = 0.5", "overlap = 2", "defaults.models.family: overlap must be a fraction"),
        ("segment = 1000", "segment = 0", "defaults.models.family: segment must be above 0, not 0"),
        ('licence = "MIT"', "licence = 1", "defaults.models.family: licence must be text, not 1"),
        ('licence = "MIT"\n', "", "models.plain: licence is missing"),
        ("{name}: ask", "{nmae}: ask", "family: licence_note: {name} is the only placeholder"),
        ("example.org/a.th", 'example.org/a.th", sha256 = "1', "family.sources[0].files[0]: sha"),
        ('metric = "uSDR"', 'metrik = "uSDR"', "defaults.scores.contest: unknown key metrik"),
        ('metric = "uSDR"\n', "", "models.other.scores[0]: metric is missing"),
        ("values = { a", "values = { c", "models.other: scores[0]: values must be dB by stem, not"),
        ("[defaults.models.family]", "[defaults.model.family]", "defaults: unknown key model"),
    ],
)
def test_invalid_defaults_are_refused_with_their_place(
    own_registry: OwnRegistry, old: str, new: str, reason: str
) -> None:
    text = DEFAULTS + OTHER
    assert old in text
    with pytest.raises(UsageError) as caught:
        read(own_registry, text.replace(old, new, 1))
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(own_registry.path))


def test_the_example_at_the_top_of_the_registry_is_a_model(own_registry: OwnRegistry) -> None:
    built_in = Path(registry.__file__).with_name("registry.toml").read_text()
    lines = built_in.partition("\n[")[0].splitlines()
    example = "\n".join(line.removeprefix("#     ") for line in lines if line.startswith("#     "))
    assert "[models." in example
    (name,) = {*read(own_registry, built_in + example)} - {model.name for model in MODELS}
    model = registry.resolve(name)
    assert (model.stems, model.segment) == (("drums",), 485_100)
    assert model.licence_note is not None
    assert model.licence_note.startswith(f"{name}: ")
    assert model.scores[0].dataset == "MVSep Multisong"


def test_the_registry_repeats_nothing(own_registry: OwnRegistry) -> None:
    """A table has no key that says what it would have without it."""
    text = Path(registry.__file__).with_name("registry.toml").read_text()
    tables = tomllib.loads(text)
    for name, table in tables["models"].items():
        defaults = tables["defaults"]["models"].get(table.get("like"), {})
        config = defaults.get("config", {}) | table.get("config", {})
        facts = {"stems": "sources", "segment": "segment", "sample_rate": "sample_rate"}
        known = defaults | {key: config[field] for key, field in facts.items() if field in config}
        assert [key for key in table if key in known and table[key] == known[key]] == [], name


ENSEMBLE = ensemble(
    "pair",
    ["tiny.htdemucs", "tiny.htdemucs_b"],
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]],
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tiny.htdemucs_b", "absent", "its member 'absent' is not a network"),
        ("tiny.htdemucs_b", "tiny.htdemucs_ft", "is not a network of the registry"),
        ("segment = 44100", "segment = 44101", "'tiny.htdemucs' has a different segment"),
        ("1.0, 1.0, 1.0", "1.0, 1.0, 0.0", "no member produces vocals"),
        ("1.0, 1.0, 1.0", "1.0, 1.0", "weights must have a row per member"),
        ("1.0, 1.0, 1.0", "1.0, 1.0, -1.0", "weights must be rows of non-neg"),
        ('"other", "vocals"', '"other", "organ"', "'tiny.htdemucs_b' has no organ"),
    ],
)
def test_invalid_ensembles_are_reported(
    own_registry: OwnRegistry, old: str, new: str, told: str
) -> None:
    assert "pair" in read(own_registry, ENSEMBLE)
    with pytest.raises(UsageError) as caught:
        read(own_registry, ENSEMBLE.replace(old, new))
    assert told in str(caught.value)


def test_a_missing_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STEMSPLIT_REGISTRY", str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match=r"absent\.toml: registry: No such file"):
        registry.list_models()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        "from stemsplit.checkpoints import cache, loading, registry\n"
        "registry.list_models(); cache.missing(registry.resolve('htdemucs'))\n"
        "print(sorted({'torch', 'numpy', 'rich', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


# --- The compiled registry -----------------------------------------------------------------------


def test_the_compiled_registry_is_the_one_in_toml() -> None:
    toml = registry.REGISTRY.read_bytes()
    compiled = read_compiled(registry.COMPILED.read_bytes(), toml)
    parsed = registry._read(registry.REGISTRY)
    assert compiled == parsed
    assert compiled is not None
    for name, model in parsed.models.items():  # also the types: 1 and 1.0 are equal
        assert repr(compiled.models[name]) == repr(model)


def test_a_compiled_registry_of_other_or_damaged_content_does_not_count() -> None:
    toml, text = registry.REGISTRY.read_bytes(), registry.COMPILED.read_bytes()
    assert read_compiled(text, toml) is not None
    assert read_compiled(text, toml + b"\n") is None
    for damaged in (b"", b"[]", b"null", text[:-9], text[:4000], text.replace(b'"stems"', b'"x"')):
        assert read_compiled(damaged, toml) is None
