"""Saving and loading: every bit comes back; a file that is foreign, damaged or half is refused."""

import io
import json
import math
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import radioopt
from radioopt.base.errors import ProblemError
from radioopt.feel import BatchsizeProblem, BatchsizeSolution

SUFFIXES = (".npz", ".json")


def problem(batch_shape=(), devices=3):
    rng = np.random.default_rng(3)
    return BatchsizeProblem(
        payload_bits=rng.uniform(1e5, 1e6, batch_shape),
        uplink_rate_bps=rng.uniform(1e6, 1e7, (*batch_shape, devices)),
        downlink_rate_bps=1e7,
        seconds_per_sample=0.1 + 0.2,
        update_time_s=5e-324,
        max_batchsize=128,
    )


def same_bits(one, other):
    """Whether two arrays agree bit for bit; one NaN is as good as another, because JSON has only one."""
    bits = one.view(np.uint64) == other.view(np.uint64)
    return (
        one.shape == other.shape
        and one.dtype == other.dtype
        and (bits | ((one != one) & (other != other))).all()
    )


def assert_same(one, other):
    assert type(one) is type(other)
    assert one.batch_shape == other.batch_shape
    assert one.sizes == other.sizes
    assert one == other
    for key, block in one._blocks.items():
        assert same_bits(block, other._blocks[key])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 1)])
@pytest.mark.parametrize("devices", [1, 3])
def test_round_trip(tmp_path, suffix, batch_shape, devices):
    question = problem(batch_shape, devices)
    answer = question.solve()
    for record in (question, answer):
        path = record.save(tmp_path / f"saved{suffix}")
        assert_same(radioopt.load(path), record)
        assert_same(radioopt.load(str(path)), record)
    loaded = radioopt.load(path)
    assert_same(loaded.problem, question)
    assert loaded.method == answer.method


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25)
@given(data=st.data())
def test_round_trip_of_any_numbers(folder, suffix, data):
    """Solutions hold whatever a method returned: NaN, infinities, subnormals, negative zero."""
    batch_shape = data.draw(st.sampled_from([(), (1,), (2, 3)]))
    question = problem(batch_shape)
    floats, counts = st.floats(), st.integers(-(2**62), 2**62)
    blocks = {
        key: data.draw(
            hnp.arrays(block.dtype, block.shape, elements=floats if block.dtype.kind == "f" else counts)
        )
        for key, block in question.solve(throw=False)._blocks.items()
    }
    answer = BatchsizeSolution(question, "newton", blocks)
    assert_same(radioopt.load(answer.save(folder / f"any{suffix}")), answer)


def test_json_is_readable_and_strict(tmp_path):
    text = problem().save(tmp_path / "a.json").read_text()
    document = json.loads(text, parse_constant=pytest.fail)  # no NaN or Infinity outside quotes
    assert document["format"] == "radioopt/1"
    assert document["family"] == "feel"
    assert document["quantities"]["uplink_rate_bps"]["unit"] == "bit/s"
    assert document["quantities"]["max_batchsize"]["value"] == [128.0, 128.0, 128.0]


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ProblemError, match=r"a\.csv: expected a name that ends in \.npz or \.json"):
        problem().save(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        radioopt.load(tmp_path / "no.json")
    with pytest.raises(IsADirectoryError):
        radioopt.load(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("record", [problem(), problem((2,)).solve()], ids=["problem", "solution"])
def test_half_a_file_is_refused(tmp_path, suffix, record):
    path = record.save(tmp_path / f"whole{suffix}")
    content = path.read_bytes()
    half = tmp_path / f"half{suffix}"
    for length in {0, 1, 10, len(content) // 3, len(content) // 2, len(content) - 2}:
        half.write_bytes(content[:length])
        with pytest.raises(ProblemError, match=r"half\.\w+: not a file saved by radioopt \(radioopt/1\)"):
            radioopt.load(half)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".json", b"hello"),
        (".json", b"[]"),
        (".json", b"{}"),
        (".json", b"\xff\xfe"),
        (".json", b'{"format": "radioopt/1"}'),
        (".json", b'{"format": "radioopt/1", "quantities": 3}'),
        (".json", b'{"format": "radioopt/2", "quantities": {}}'),
        (".npz", b"hello"),
        (".npz", b"PK\x03\x04hello"),
    ],
)
def test_foreign_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"foreign{suffix}"
    path.write_bytes(content)
    with pytest.raises(ProblemError, match=r"foreign\.\w+: not a file saved by radioopt"):
        radioopt.load(path)


def test_foreign_archives_are_refused(tmp_path):
    path = tmp_path / "foreign.npz"
    np.savez(path, rates=np.ones(3))
    with pytest.raises(ProblemError, match="not a file saved by radioopt"):
        radioopt.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header", "not an array")
    with pytest.raises(ProblemError, match="not a file saved by radioopt"):
        radioopt.load(path)
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ProblemError, match="not a file saved by radioopt"):
        radioopt.load(path)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def test_pickles_are_not_executed(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez(path, header=np.array('{"format": "radioopt/1"}'), payload_bits=np.array([Bomb()], object))
    with pytest.raises(ProblemError, match="not a file saved by radioopt"):
        radioopt.load(path)


def test_a_changed_byte_is_noticed(tmp_path):
    path = problem().solve().save(tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    content[content.index(b"uplink_rate_bps.npy") + 60] ^= 0xFF  # inside the first array's data
    path.write_bytes(content)
    with pytest.raises(ProblemError, match="not a file saved by radioopt"):
        radioopt.load(path)


def edited(tmp_path, record, edit):
    path = record.save(tmp_path / "edited.json")
    document = json.loads(path.read_text())
    edit(document, document["quantities"])
    path.write_text(json.dumps(document))
    return path


def set_value(name, value):
    return lambda document, quantities: quantities[name].update(value=value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda d, q: d.update(kind="recipe"),
            "expected a problem or a solution, got 'recipe' of family 'feel'",
        ),
        (lambda d, q: d.pop("kind"), "expected a problem or a solution, got None"),
        (lambda d, q: d.update(family="fool"), "got 'solution' of family 'fool'"),
        (lambda d, q: d.pop("family"), "of family None"),
        (lambda d, q: d.update({"class": "Solution9"}), "unknown solution 'Solution9' by 'newton'"),
        (lambda d, q: d.update(method="magic"), "unknown solution 'BatchsizeSolution' by 'magic'"),
        (lambda d, q: q.pop("gap"), r"unknown or missing fields \['gap'\]"),
        (lambda d, q: q.update(extra=q["gap"]), r"unknown or missing fields \['extra'\]"),
        (lambda d, q: q.pop("problem.payload_bits"), r"lacks \['payload_bits'\]"),
        (set_value("problem.payload_bits", -1.0), r"payload_bits: expected > 0, got -1\.0"),
        (set_value("problem.payload_bits", "nan"), "payload_bits: expected a finite number > 0, got nan"),
        (set_value("problem.payload_bits", "much"), "not a file saved by radioopt"),
        (set_value("batchsize", [1.0, 2.0]), r"batchsize: expected float64 \(3,\), got float64 \(2,\)"),
        (set_value("iterations", 1.5), r"iterations: expected int64 \(\), got float64 \(\)"),
    ],
)
def test_edited_files_are_refused(tmp_path, edit, message):
    path = edited(tmp_path, problem().solve(), edit)
    with pytest.raises(ProblemError, match=message):
        radioopt.load(path)


def test_a_wrong_claim_does_not_survive_verification(tmp_path):
    """A file may say what it likes of its gap; the certificate is recomputed from the decisions."""
    solution = problem().solve()
    worse = (0.5 * solution.batchsize).tolist()
    loaded = radioopt.load(edited(tmp_path, solution, set_value("batchsize", worse)))
    assert loaded.status.ok
    assert not radioopt.Status(loaded.verify().status).ok
    assert math.isfinite(loaded.verify().objective)
