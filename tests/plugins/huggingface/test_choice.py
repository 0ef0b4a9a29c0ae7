from __future__ import annotations

import time

import pytest

from hoshikage.core.errors import DownloadFailed
from hoshikage.plugins.huggingface.choice import HubFile, choose, variants_of


def repo(*paths: str) -> list[HubFile]:
    """Files whose size is their place in the list."""
    return [HubFile(path, size, "a" * 64) for size, path in enumerate(paths, start=1)]


def chosen(paths: list[str], wanted: str = "") -> str:
    return choose(variants_of(repo(*paths)), wanted, "org/repo").files[0].path


USUAL = ["README.md", "m-Q2_K.gguf", "m-Q3_K_M.gguf", "m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-f16.gguf"]


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("Q8_0", "m-Q8_0.gguf"),
        ("q8_0", "m-Q8_0.gguf"),
        ("F16", "m-f16.gguf"),
        ("m-Q2_K.gguf", "m-Q2_K.gguf"),
        ("M-q2_k", "m-Q2_K.gguf"),
        ("", "m-Q4_K_M.gguf"),
    ],
)
def test_what_is_asked_for_is_taken(wanted: str, path: str):
    """A quantisation or a file's name in any case of letters; nothing said is Q4_K_M."""
    assert chosen(USUAL, wanted) == path


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("gemma-3-270m-q4_k_m.gguf", "q4_k_m"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Q8_0/model-00001-of-00001.gguf", "Q8_0"),
        ("model.IQ3_XXS.gguf", "IQ3_XXS"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("model-BF16.gguf", "BF16"),
        ("model.gguf", ""),
        ("Qwen2.gguf", ""),  # a name, not a quantisation
        ("m-Q4_K_M-imat.gguf", "Q4_K_M"),
    ],
)
def test_the_quantisation_is_read_from_the_name(path: str, label: str):
    """Wherever publishers put it, as long as it stands apart."""
    assert variants_of(repo(path))[0].label == label


@pytest.mark.parametrize(
    ("paths", "path"),
    [
        (["m-Q8_0.gguf", "m-Q5_K_M.gguf", "m-f16.gguf"], "m-Q8_0.gguf"),  # the smallest, as the sizes count up
        (["m-Q2_K.gguf", "m-Q3_K_M.gguf", "m-Q6_K.gguf"], "m-Q6_K.gguf"),
        (["m-IQ1_S.gguf", "m-Q2_K.gguf"], "m-Q2_K.gguf"),
        (["model.gguf"], "model.gguf"),
        (["m-UD-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-UD-Q4_K_M.gguf"),
    ],
)
def test_without_the_default_the_smallest_sensible_one_is_taken(paths: list[str], path: str):
    """At least four bits where there are such; else the largest of what there is."""
    assert chosen(paths) == path


def test_what_is_not_there_is_answered_with_what_is():
    """The error lists the quantisations."""
    with pytest.raises(DownloadFailed, match="has no Q5_0; it has: Q2_K, Q3_K_M, Q4_0, Q4_K_M, Q8_0, f16"):
        chosen(USUAL, "Q5_0")


@pytest.mark.parametrize("paths", [[], ["model.safetensors"], ["mmproj-model-f16.gguf"], ["m-00001-of-00002.gguf"]])
def test_a_repository_without_a_whole_gguf_is_an_error(paths: list[str]):
    """No GGUF, only eyes without a model, or parts without the rest."""
    with pytest.raises(DownloadFailed, match="no whole GGUF"):
        chosen(paths)


def test_a_projector_is_no_model():
    """The smallest file of a vision model's repository is not the model."""
    assert chosen(["mmproj-F16.gguf", "m-Q8_0.gguf"]) == "m-Q8_0.gguf"


def test_the_parts_of_a_split_model_are_one():
    """All parts, in order, whatever the order of the listing; sizes add up."""
    files = repo(*(f"Q8_0/m-Q8_0-{n:05}-of-00003.gguf" for n in (3, 1, 2)), "m-Q8_0-small.gguf")

    found = choose(variants_of(files), "m-Q8_0", "org/repo")

    assert [f.path[-19:-14] for f in found.files] == ["00001", "00002", "00003"]
    assert found.size_bytes == 6


def test_an_exact_name_goes_before_a_longer_one():
    """Of two files with one quantisation the plainer name is taken, always the same."""
    assert chosen(["m-imat-Q4_K_M.gguf", "m-Q4_K_M.gguf"], "Q4_K_M") == "m-Q4_K_M.gguf"
    assert chosen(["m-UD-Q4_K_M.gguf", "m-long-name-Q4_K_M.gguf"], "Q4_K_M") == "m-long-name-Q4_K_M.gguf"


@pytest.mark.parametrize("path", ["../m-Q4_0.gguf", "a/../../m-Q4_0.gguf", "/m-Q4_0.gguf", "a\\m-Q4_0.gguf"])
def test_paths_that_lead_elsewhere_are_passed_over(path: str):
    """A listing with such a path is no source of a file."""
    assert variants_of(repo(path)) == []


def test_claims_of_many_parts_cost_nothing():
    """A repository in which each of many files says that it is one of 99999 is looked through at once, and is empty."""
    files = repo(*(f"m{number}-00001-of-99999.gguf" for number in range(5000)))
    before = time.process_time()

    assert [] == variants_of(files)
    assert time.process_time() - before < 2.0


def test_parts_with_other_numbers_are_no_model():
    """A number beyond the count, or none, does not stand in for a part that is missing."""
    assert [] == variants_of(repo("m-00000-of-00002.gguf", "m-00001-of-00002.gguf"))
    assert [] == variants_of(repo("m-00001-of-00002.gguf", "m-00003-of-00002.gguf"))


def test_an_error_names_some_of_very_many():
    """A repository with thousands of models, or with a name that has no end, does not fill the client's screen."""
    files = repo(*(f"{'x' * 1000}{number}.gguf" for number in range(3000)), *(f"m{n}.gguf" for n in range(100)))

    with pytest.raises(DownloadFailed, match=r"has no Q8_0; .* and \d+ more") as caught:
        choose(variants_of(files), "Q8_0", "org/repo")

    assert len(caught.value.message) < 10_000
