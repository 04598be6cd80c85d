"""IDX files written by hand and hostile ones; the registered images."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from scorefold.data import DataError, load_images, read_idx


def idx(array, code, *, dims=None, sizes=None):
    """The bytes of an IDX file by the published description of the format."""
    head = bytes([0, 0, code, array.ndim if dims is None else dims])
    return head + struct.pack(f">{array.ndim}I", *(sizes or array.shape)) + array.tobytes()


PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx(PIXELS, 8)


def written(path, content, packed=False):
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"), [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_every_type_comes_back(tmp_path, code, kind, packed):
    array = np.asarray([[-3, 0, 5], [7, 100, 2]]).astype(kind)
    found = read_idx(written(tmp_path / "a", idx(array, code), packed))
    assert found.dtype == np.dtype(kind).newbyteorder("=")
    np.testing.assert_array_equal(found, array)


HOSTILE = {
    "another format": (b"PK\x03\x04" + GOOD[4:], "is not an IDX file: it begins with 50 4b 03 04"),
    "unknown type": (b"\0\0\x0a\x03" + GOOD[4:], "is not an IDX file"),
    "no axes": (b"\0\0\x08\0" + GOOD[4:], "0 axes"),
    "too many axes": (b"\0\0\x08\xff" + GOOD[4:], "255 axes"),
    "empty": (b"", "it begins with nothing"),
    "short header": (GOOD[:9], "ends within its header"),
    "short data": (GOOD[:-1], "24 bytes of data are announced, but 23 follow"),
    "more data": (GOOD + b"\0", "24 bytes of data are announced, but more follow"),
    # 2³² − 1 of everything: a product that overflows 64 bits, and a terabyte.
    "sizes that overflow": (b"\0\0\x0e\x03" + b"\xff" * 12, "refused"),
    "a terabyte": (b"\0\0\x08\x02" + struct.pack(">2I", 2**20, 2**20) + b"\0" * 16, "refused"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.fault(7, "images whose headers lie, plain and compressed")
def test_hostile_files_are_refused(tmp_path, name, packed):
    content, message = HOSTILE[name]
    with pytest.raises(DataError, match=message):
        read_idx(written(tmp_path / "a", content, packed))


@pytest.mark.fault(5, "compressed images that are damaged")
def test_archives_that_are_damaged_or_bombs(tmp_path):
    packed = bytearray(gzip.compress(GOOD))
    packed[-8] ^= 1  # the checksum
    with pytest.raises(DataError, match="damaged gzip archive"):
        read_idx(written(tmp_path / "a", bytes(packed)))
    with pytest.raises(DataError, match="damaged gzip archive"):
        read_idx(written(tmp_path / "a", gzip.compress(GOOD)[:-12]))
    # 256 MB of zeros in 256 kB, of which a header of 24 bytes lets 25 be decompressed.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(GOOD[:16])
    bomb += b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError, match="more follow"):
        read_idx(written(tmp_path / "a", bomb))
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
    with pytest.raises(DataError, match="No file"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder"):
        read_idx(tmp_path)


def test_mnist(data_dir):
    """The first labels and the numbers of each class are those that are published everywhere."""
    images = load_images("mnist-t10k", data_dir=data_dir)
    assert images.points.shape == (10_000, 784) and images.points.dtype == np.float32
    assert images.shape == (28, 28) and images.manifold.dim == 784
    assert images.points.min() == 0.0 and images.points.max() == 1.0
    np.testing.assert_array_equal(images.labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(np.bincount(images.labels), counts)
    train, test = images.split(0.25, seed=3)
    np.testing.assert_array_equal(np.bincount(test.labels), [n // 4 for n in counts])
    # Nothing is lost or doubled, and images keep their labels: sums by label agree.
    for label in range(10):
        both = np.concatenate([train.of(label), test.of(label)])
        assert len(both) == counts[label]
        np.testing.assert_allclose(both.sum(), images.of(label).sum(), rtol=1e-5)
    with pytest.raises(DataError, match="no images labelled 10"):
        images.of(10)


def test_another_file_and_unknown_names(tmp_path):
    (tmp_path / "images").mkdir()
    written(tmp_path / "images" / "mnist_t10k-images-idx3-ubyte.gz", GOOD, packed=True)
    with pytest.raises(DataError, match="is not the file registered as 'mnist-t10k'"):
        load_images("mnist-t10k", data_dir=tmp_path)
    with pytest.raises(DataError, match="Did you mean 'mnist-t10k'"):
        load_images("mnist")


def test_digits_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    images, known = load_images("digits"), datasets.load_digits()
    assert images.points.shape == (1797, 64) and images.points.dtype == np.float32
    np.testing.assert_array_equal(images.points * 16, known.data)
    np.testing.assert_array_equal(images.labels, known.target)
