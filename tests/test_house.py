"""The architecture, checked: who imports whom, how large files are, what the wheel holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "strbench": "strbench",
    "baselines": "strbench.baselines",
    "benchmarks": "strbench.benchmarks",
}
# Lines. The rule is about 400 for the engine and about 350 for a baseline, which is one paper in one
# file; a file a tenth above it has a second subject and is split by subject.
LONGEST = {"strbench": 440, "baselines": 385, "benchmarks": 385}
# Modules that a training run imports: they never pull in a table library.
TRAINING = (
    "train", "checkpoints", "streams", "store", "packing", "splits", "loading", "optim", "augment",
    "draws", "methods",
)  # fmt: skip
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
# Folders of scripts: run by hand, not part of the package.
SCRIPTS = (ROOT / "benchmarks" / "speed", ROOT / "benchmarks" / "conv_ctc")


def sources(*folders: str) -> list[Path]:
    return sorted(p for folder in folders or FOLDERS for p in (ROOT / folder).rglob("*.py"))


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), where(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(level, module) of every import statement, functions' own included; level 0 is absolute."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            for alias in node.names:  # `from strbench import baselines` imports a module too
                yield node.level, f"{module}.{alias.name}".lstrip(".")


def is_under(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def offenders(paths: list[Path], *packages: str) -> list[str]:
    return sorted(
        {
            f"{where(path)}: {module}"
            for path in paths
            for level, module in imports(path)
            if level == 0 and is_under(module, *packages)
        }
    )


def test_the_reader_of_imports_sees_every_form(tmp_path: Path) -> None:
    path = ROOT / "strbench" / "registry.py"
    assert (0, "strbench.errors.StrbenchError") in set(imports(path))
    file = ROOT / "baselines" / "pretrain" / "dig.py"
    assert any(level == 2 and module.startswith("parts.") for level, module in imports(file))


def test_the_engine_names_no_paper() -> None:
    assert offenders(sources("strbench"), "strbench.baselines", "strbench.benchmarks") == []
    relative = [where(p) for p in sources("strbench") if any(level for level, _ in imports(p))]
    assert relative == [], "the engine imports itself absolutely"


def test_baselines_import_the_engine_absolutely_and_their_parts_relatively() -> None:
    paths = sources("baselines")
    assert offenders(paths, "strbench.baselines", "strbench.benchmarks") == []
    for path in paths:
        for level, module in imports(path):
            assert level < 3, f"{where(path)} climbs out of baselines"
            if level == 2:
                assert is_under(module, "parts"), (
                    f"{where(path)} imports {module} of another family"
                )


def test_benchmarks_are_claims_and_import_no_baseline() -> None:
    assert offenders(sources("benchmarks"), "strbench.baselines") == []


def test_training_never_imports_a_table_library() -> None:
    paths = [ROOT / "strbench" / f"{name}.py" for name in TRAINING]
    paths = [path for path in paths if path.exists()]
    assert len(paths) > 6
    assert offenders(paths + sources("baselines"), "polars", "pandas", "pyarrow") == []


def test_training_runs_without_a_table_library() -> None:
    code = (
        "import sys, strbench.train, strbench.streams, strbench.runs;"
        "from strbench import registry;"
        "[registry.load(k, n) for k in ('methods', 'models') for n in registry.names(k)];"
        "print(sorted({'polars', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_other_vision_library() -> None:
    assert offenders(sources(), "torchvision", "timm", "cv2.dnn") == []


def test_metrics_never_see_a_model_and_tables_never_see_tensors() -> None:
    metrics = sources("strbench/metrics")
    assert metrics
    assert (
        offenders(metrics, "torch", "strbench.models", "strbench.predict", "strbench.store") == []
    )
    assert offenders(sources("strbench/report"), "torch", "strbench.models") == []


def test_folders_are_shallow_and_files_named_for_their_subject() -> None:
    for path in sources():
        depth = len(path.relative_to(ROOT).parts) - 2  # folders below the top one
        assert depth <= 2, where(path)
        assert path.stem.lower() not in FORBIDDEN_NAMES, where(path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_has_a_second_subject(folder: str) -> None:
    lengths = {where(p): len(p.read_text().splitlines()) for p in sources(folder)}
    assert {p: n for p, n in lengths.items() if n > LONGEST[folder]} == {}


def test_nothing_is_swallowed() -> None:
    for path in sources():
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(kind) if kind is not None else "everything" for kind in kinds}
            assert not names & {"everything", "Exception"}, f"{where(path)}:{node.lineno}"
            if "BaseException" in names:  # to clean up, and only to raise it again
                ends = node.body[-1]
                assert isinstance(ends, ast.Raise), f"{where(path)}:{node.lineno}"


def test_torch_load_reads_weights_only() -> None:
    for path in sources():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("weights_only") == "True", f"{where(path)}:{node.lineno}"


def test_tls_is_verified() -> None:
    for path in sources():
        text = path.read_text()
        assert not re.search(r"_create_unverified|CERT_NONE|verify\s*=\s*False", text), where(path)


def test_nothing_speaks_of_one_machine() -> None:
    pattern = re.compile(r"/(?:work|root|tmp|home/\w+)/|\bseed 000\b")
    texts = [*sources(), *ROOT.glob("*.md"), *ROOT.glob("*.cff"), ROOT / "pyproject.toml"]
    found = [
        f"{where(path)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def pyproject() -> dict[str, dict[str, dict[str, object]]]:
    content: dict[str, dict[str, dict[str, object]]] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text()
    )
    return content


def test_every_package_is_listed() -> None:
    found = set()
    for folder, package in FOLDERS.items():
        for path in sources(folder):
            if path.parent in SCRIPTS:
                continue
            assert (path.parent / "__init__.py").is_file(), f"{where(path)} is in no package"
            inner = path.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inner)))
    listed = pyproject()["tool"]["setuptools"]["packages"]
    assert isinstance(listed, list)
    assert sorted(listed) == sorted(found)


def test_the_wheel_holds_everything(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(tmp_path), str(copied(tmp_path / "source"))],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("strbench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    expected = set()
    for folder, package in FOLDERS.items():
        place = package.replace(".", "/")
        inner = [p for p in sources(folder) if p.parent not in SCRIPTS]
        data = [
            p
            for pattern in (
                "fonts/*/*",
                "words/*",
                "py.typed",
                "reported/*.csv",
                "records/*.json",
                "weights/*/*",
                "view/*.html",
                "view/*.css",
                "view/*.js",
            )
            for p in (ROOT / folder).glob(pattern)
            if p.is_file()
        ]
        expected |= {f"{place}/{p.relative_to(ROOT / folder)}" for p in inner + data}
    assert any(name.endswith(".ttf") or name.endswith(".otf") for name in expected)
    assert "strbench/benchmarks/reported/recognition.csv" in expected
    assert sorted(expected - held) == []


def copied(target: Path) -> Path:
    """The files that a wheel is built from, in a folder of their own: building leaves litter."""
    import shutil

    ignore = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, target / folder, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    return target


def test_the_citation_names_this_version() -> None:
    from strbench import __version__

    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert text.startswith("cff-version: 1.2.0\n")
    fields = dict(re.findall(r"^([a-z-]+): (\S.*)$", text, flags=re.MULTILINE))
    assert {"title", "message", "version", "license"} <= set(fields)
    assert fields["title"] == "strbench"
    assert fields["version"] == __version__ == pyproject()["project"]["version"]


def test_the_map_of_the_engine_is_complete() -> None:
    """Every file of the engine stands in CONTRIBUTING.md, and every file that stands there exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## The engine along")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", table))
    here = {p.name for p in (ROOT / "strbench").glob("[a-z]*.py")}
    here |= {f"{p.parent.name}/" for p in (ROOT / "strbench").glob("*/__init__.py")}
    assert named - here - {"__init__.py"} == set()
    assert here - named == set()
