"""Files of models: the same bits back, from the file alone; hostile files refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from scorefold.fields import AmbientOutput, NetworkField, ScoreNetwork
from scorefold.fitting import DamagedFile, DiskFull, container, load, save
from scorefold.manifolds import Sphere
from scorefold.noising import Brownian, LogLinear

SPHERE = Sphere(3)
OPTIONAL = [
    *("anndata", "arviz", "astropy_healpix", "flowjax", "geopandas", "h5py", "netCDF4", "numpyro"),
    *("optax", "orix", "ott", "plotly", "pyarrow", "ray", "safetensors", "sklearn", "torch"),
    "xarray",
]


def field(dtype=jnp.float32, **kwargs):
    network = ScoreNetwork(
        4, 4, width=8, depth=2, fourier=3, dtype=dtype, key=jax.random.key(0), **kwargs
    )
    return NetworkField(SPHERE, network, AmbientOutput(), Brownian(SPHERE, LogLinear(1e-3, 5.0)))


def identical(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        type(x) is type(y)
        and (x.dtype == y.dtype and x.tobytes() == y.tobytes() if eqx.is_array(x) else x == y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize(
    "dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.slow), jnp.bfloat16]
)
def test_round_trip(tmp_path, dtype):
    model = field(dtype, activation=jnp.sin)
    # Bit patterns that a conversion to text or another dtype would lose.
    odd = model.network.times.at[:3].set(jnp.asarray([jnp.nan, -0.0, jnp.inf], dtype))
    model = eqx.tree_at(lambda m: m.network.times, model, odd)
    save(tmp_path / "model.safetensors", model)
    assert identical(load(tmp_path / "model.safetensors"), model)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_manifolds(tmp_path):
    import scorefold.manifolds as manifolds

    final = [
        manifolds.Sphere(2),
        manifolds.Euclidean(3),
        manifolds.Torus(2),
        manifolds.SO3(),
        manifolds.Hyperbolic(2),
    ]
    for manifold in final:
        save(tmp_path / "m", manifold)
        assert identical(load(tmp_path / "m"), manifold)
        assert load(tmp_path / "m").name == manifold.name


def test_same_in_another_process_without_the_writer(tmp_path):
    """What a fresh interpreter computes with the file, in which no package is installed that
    scorefold does not ask for: the same bytes as here."""
    model = field()
    save(tmp_path / "model", model)
    program = (
        f"import sys; sys.modules |= dict.fromkeys({OPTIONAL})\n"
        "import jax, jax.numpy as jnp, scorefold.fitting as f\n"
        "m = f.load(sys.argv[1])\n"
        "y = jax.jit(lambda x, s: m(x, s))(jnp.full(4, 0.5, jnp.float32), jnp.float32(0.1))\n"
        "print(y.tobytes().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model")],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    y = jax.jit(lambda x, s: model(x, s))(jnp.full(4, 0.5, jnp.float32), jnp.float32(0.1))
    assert run.stdout.strip() == np.asarray(y).tobytes().hex()


def test_readable_by_safetensors(tmp_path):
    """Oracle: the reference implementation of the format reads the same arrays."""
    model = field()
    save(tmp_path / "model", model, {"note": "a run", "nll": 0.5})
    arrays = safetensors.numpy.load_file(tmp_path / "model")
    weight = arrays["model.network.layers.0.weight"]
    np.testing.assert_array_equal(weight, model.network.layers[0].weight)
    assert container.read(tmp_path / "model")[1]["metadata"] == {"note": "a run", "nll": 0.5}


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"model\.network\.activation holds <function .*<lambda>"):
        save(tmp_path / "m", field(activation=lambda x: x))

    class Foreign(eqx.Module):
        x: int = 1

    with pytest.raises(TypeError, match=r"Foreign: only modules of scorefold can be saved"):
        save(tmp_path / "m", Foreign())
    assert not os.listdir(tmp_path)


@pytest.mark.fault(5, "a model cut at every sixteenth, a bit flipped at 300 places")
def test_truncated_or_flipped(tmp_path):
    """Cut at every sixteenth, and one bit flipped at 300 places, every byte of the first 64 and
    those of the digest among them: always the named error."""
    path = tmp_path / "m"
    save(path, field())
    whole = path.read_bytes()
    for k in range(16):
        path.write_bytes(whole[: len(whole) * k // 16])
        with pytest.raises(DamagedFile, match=r"m: "):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(DamagedFile, match="bytes of data, but the arrays take"):
        load(path)
    digest = whole.index(b'"sha256"')
    places = [*range(64), *range(digest, digest + 80)]
    places += np.random.default_rng(0).integers(0, len(whole), 156).tolist()
    for i in places:
        flipped = bytearray(whole)
        flipped[i] ^= 1 << (i % 8)
        path.write_bytes(bytes(flipped))
        with pytest.raises(DamagedFile):
            load(path)


def forged(path, change):
    """A file with a changed header and a digest that agrees with it."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    document = json.loads(header["__metadata__"]["document"])
    document = change(header, document) or json.dumps(document)
    header["__metadata__"]["document"] = document
    header["__metadata__"]["sha256"] = "0" * 64
    head = json.dumps(header).encode()
    head = len(head).to_bytes(8, "little") + head
    digest = hashlib.sha256(head + raw[8 + size :]).hexdigest()
    path.write_bytes(head.replace(b"0" * 64, digest.encode()) + raw[8 + size :])


WEIGHT = "model.network.layers.0.weight"


def terabyte(header, document):
    header[WEIGHT]["shape"] = [2**38]
    header[WEIGHT]["data_offsets"] = [0, 2**40]


def overlap(header, document):
    header["model.network.layers.0.bias"]["data_offsets"] = header[WEIGHT]["data_offsets"]


def negative(header, document):
    header[WEIGHT]["shape"] = [-1, -4]


def dropped(header, document):
    document["model"]["fields"].pop("noising")


def other_shape(header, document):
    entry = document["model"]["fields"]["network"]["fields"]["frequencies"]
    entry["shape"] = [4, 3]


def shared(header, document):
    layers = document["model"]["fields"]["network"]["fields"]["layers"]["list"]
    layers[1]["fields"]["bias"]["array"] = "model.network.layers.0.bias"


def version(header, document):
    document["version"] = 3


def evil_class(header, document):
    document["model"]["class"] = "os.system"


def evil_function(header, document):
    document["model"]["fields"]["network"]["fields"]["activation"]["function"] = "builtins.eval"


def abstract_class(header, document):
    document["model"] = {"class": "manifolds.Manifold", "fields": {}}


def impossible(header, document):
    document["model"]["fields"]["manifold"]["fields"]["d"] = 0


def list_of_models(header, document):
    document["model"] = {"list": [document["model"]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (terabyte, r"'model.network.layers.0.weight' of 1099511627776 bytes claims"),
        (overlap, r"'model.network.layers.0.bias' of 32 bytes claims the bytes \[0, 864\]"),
        (negative, "impossible dtype, shape or offsets"),
        (
            dropped,
            r"fields.NetworkField, differs from this version's: fields missing \['noising'\]",
        ),
        (other_shape, r"frequencies: the file holds float32\[3, 4\], but .* float32\[4, 3\]"),
        (shared, r"'model.network.layers.0.bias' is missing, or used twice"),
        (version, r"version 3; this scorefold reads 2"),
        (evil_class, "unknown class 'os.system'"),
        (evil_function, "unknown function 'builtins.eval'"),
        (abstract_class, "unknown class 'manifolds.Manifold'"),
        (impossible, r"model.manifold, a manifolds.Sphere, has impossible fields: .*d >= 1"),
        (list_of_models, "not that of a module"),
    ],
)
@pytest.mark.fault(7, "offsets, shapes and documents forged with the right digest")
@pytest.mark.fault(9, "a model of another version, class or shape")
def test_forged(tmp_path, change, message):
    path = tmp_path / "m"
    save(path, field())
    forged(path, lambda header, document: None)
    assert identical(load(path), field())
    forged(path, change)
    with pytest.raises(DamagedFile, match=message):
        load(path)


@pytest.mark.parametrize("levels", [450, 100_000])
@pytest.mark.fault(7, "a document nested 450 and 100,000 times")
def test_deep_nesting(tmp_path, levels):
    path = tmp_path / "m"
    save(path, field())
    model = '{"list": [' * levels + "0" + "]}" * levels
    text = '{"format": "scorefold model", "version": 2, "model": ' + model + "}"
    forged(path, lambda header, document: text)
    with pytest.raises(DamagedFile, match=r"nested too deeply|not valid JSON"):
        load(path)


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.fault(6, "a canary in four files in the place of a model")
def test_pickles_are_refused_without_running(tmp_path):
    canary = tmp_path / "ran"
    plain = pickle.dumps(Canary(str(canary)))
    np.save(tmp_path / "object.npy", np.asarray([Canary(str(canary))], object), allow_pickle=True)
    zipped = tmp_path / "archive.npz"
    np.savez(zipped, a=np.zeros(10))
    (tmp_path / "plain.pkl").write_bytes(plain)
    (tmp_path / "renamed.pt").write_bytes(plain)
    (tmp_path / "model.safetensors").write_bytes(b"PK\x03\x04" + plain)
    (tmp_path / "empty").write_bytes(b"")
    for name in (
        "object.npy",
        "archive.npz",
        "plain.pkl",
        "renamed.pt",
        "model.safetensors",
        "empty",
    ):
        with pytest.raises(DamagedFile, match="not a scorefold file"):
            load(tmp_path / name)
    assert not canary.exists()
    pickle.loads(plain)
    assert canary.exists(), "the canary should sing when it is unpickled"


@pytest.mark.fault(9, "a file of another library")
def test_foreign_safetensors_file(tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "m")
    with pytest.raises(DamagedFile, match="not a file written by scorefold"):
        load(tmp_path / "m")


@pytest.mark.fault(9, "a model in double precision where JAX has single")
def test_float64_needs_x64(tmp_path):
    save(tmp_path / "m", field(jnp.float64))
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(DamagedFile, match=r"weight is float64.*jax_enable_x64"):
            load(tmp_path / "m")
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.fault(4, "no room while a model is saved over another")
def test_disk_full_keeps_the_file_before(tmp_path, monkeypatch):
    save(tmp_path / "m", field())
    before = (tmp_path / "m").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="No room for") as caught:
        save(tmp_path / "m", field(jnp.float64))
    assert caught.value.needed > len(before)
    assert (tmp_path / "m").read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]
