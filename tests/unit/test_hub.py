"""Folders of the Hub's shape: the model comes back; others' and damaged ones are refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.fitting import DamagedFile
from scorefold.hub import load_pretrained, model_card, save_pretrained
from scorefold.models import HeatKernelDensity

SPHERE = sf.Sphere(2)


def uniform(seed, n):
    return jax.vmap(SPHERE.uniform)(jax.random.split(jax.random.key(seed), n))


@pytest.fixture(scope="module")
def model():
    points = uniform(0, 20)
    return HeatKernelDensity(SPHERE, points, jnp.full(20, 0.1, points.dtype))


@pytest.fixture
def folder(model, tmp_path):
    return save_pretrained(model, tmp_path / "model")


def test_the_model_comes_back_from_another_place(model, folder, tmp_path):
    (folder / "notes.bin").write_bytes(b"other files are not looked at")
    moved = folder.rename(tmp_path / "moved")
    found = load_pretrained(moved)
    x = uniform(1, 5)
    np.testing.assert_array_equal(found.log_prob(x), model.log_prob(x))
    config = json.loads((moved / "config.json").read_text())
    assert (config["library_name"], config["manifold"], config["shape"]) == (
        "scorefold",
        "S^2",
        [3],
    )


def test_links_of_a_cache_are_followed(folder, tmp_path):
    """The Hub's cache keeps files elsewhere, and links to them."""
    blobs = folder.rename(tmp_path / "blobs")
    folder.mkdir()
    for path in blobs.iterdir():
        (folder / path.name).symlink_to(path)
    assert load_pretrained(folder).manifold == SPHERE


def test_what_is_no_such_folder_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"downloaded first: hf download org/name"):
        load_pretrained("org/name")
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        load_pretrained(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(DamagedFile, match=r"not the weights that config\.json names"):
        load_pretrained(folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors"):
        load_pretrained(folder)


@pytest.mark.parametrize(
    "text, reason",
    [
        ('{"model_type": "bert"}', "a model of another library ('bert')"),
        ("[1, 2]", "a model of another library"),
        ("[" * 100_000, "no JSON"),
        ("{", "no JSON"),
        ('"' + "x" * 2**20 + '"', "no file of at most 1048576 bytes"),
    ],
)
def test_configurations_of_others_are_refused(model, folder, text, reason):
    (folder / "config.json").write_text(text)
    for attempt in (lambda: load_pretrained(folder), lambda: save_pretrained(model, folder)):
        with pytest.raises(DamagedFile) as refused:
            attempt()
        assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert (folder / "config.json").read_text() == text


def test_a_card_says_what_is_known_and_what_is_not(model):
    card = model_card(model)
    assert card.count("Not stated.") == 2 and "Nothing." in card
    assert "\nlicense" not in card and "model-index" not in card
    card = model_card(
        model, 'a "title"\n---\nlicense: mit', licence="cc0-1.0", data={"Data set": "x\n# y"},
        numbers=[("a|b", "1\n2")], test_nll=0.5, warnings=["w"], intended_use="u",
    )  # fmt: skip
    _, header, rest = card.split("---\n", 2)
    lines = dict(line.split(": ", 1) for line in header.splitlines())
    values = {name: json.loads(value) for name, value in lines.items() if name != "library_name"}
    assert set(lines) == {"library_name", "license", "tags", "model-index"}
    assert values["license"] == "cc0-1.0" and values["tags"][-1] == "S^2"
    result = values["model-index"][0]["results"][0]
    assert result["metrics"][0]["value"] == 0.5 and result["dataset"]["name"] == "x # y"
    assert '# a "title" --- license: mit\n' in rest and r"| a\|b | 1 2 |" in rest


def test_a_header_is_yaml_and_a_text_shows_as_it_stands(model):
    card = model_card(
        model, "waves 😀 [x](javascript:1) <b>", test_nll=1e-05, data={"Data set": "a_b*c*"}
    )
    _, header, rest = card.split("---\n", 2)
    assert "😀" in header and "\\ud83d" not in header and '"value": 1.0e-05' in header
    assert r"\[x\](javascript:1) \<b\>" in rest and r"a\_b\*c\*" in rest
