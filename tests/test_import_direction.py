"""The layers of the package: who may import whom (DESIGN: base <- gmm, features <- speaker <- cli)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gmmaudio"
RECIPES = PACKAGE.parent / "recipes"

BASE = {"errors", "validation", "_typing", "stage", "config", "__version__"}
MAY_IMPORT = {
    "errors": set(),
    "_typing": set(),
    "validation": BASE,
    "stage": BASE,
    "config": BASE,
    "em": BASE,
    "metrics": BASE,
    "plotting": BASE | {"gmm", "metrics"},
    "audio": BASE,
    "persistence": BASE,
    "checkpoint": BASE | {"em", "persistence"},
    "features": BASE | {"audio", "persistence"},
    "gmm": BASE | {"checkpoint", "em", "persistence"},
    "hmm": BASE | {"checkpoint", "em", "gmm", "persistence"},
    "words": BASE | {"audio", "features", "gmm", "hmm", "persistence"},
    "distributed": BASE | {"gmm", "hmm"},
    "separation": BASE | {"audio", "em", "features", "gmm", "metrics", "persistence"},
    "speaker": BASE | {"audio", "distributed", "features", "gmm", "metrics", "persistence"},
    # Sound becomes a stream of numbers through the package's own front end, for machines that are listened to.
    "anomaly": BASE | {"audio", "features", "gmm", "hmm", "metrics", "persistence"},
    "cli": BASE
    | {
        "anomaly",
        "audio",
        "features",
        "gmm",
        "hmm",
        "metrics",
        "persistence",
        "plotting",
        "separation",
        "speaker",
        "words",
    }
    | {"load", "save"},
}


def imported_parts(file: Path) -> set[str]:
    """First-level parts of gmmaudio that a file imports, wherever in the file the import stands."""
    parts = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            parts |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gmmaudio.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gmmaudio":
            names = (node.module or "").split(".")[1:]
            parts |= {names[0]} if names else {alias.name for alias in node.names}
    return parts


def files_of(part: str) -> list[Path]:
    """Source files of a part, a module or a subpackage."""
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def parts_of_package() -> list[str]:
    names = [path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir()]
    return sorted(name for name in names if name not in {"__init__", "__pycache__", "py.typed", "_audio_samples"})


@pytest.mark.parametrize("part", parts_of_package())
def test_a_part_imports_only_the_layers_below_it(part):
    for file in files_of(Path(part).stem):
        above = imported_parts(file) - MAY_IMPORT[Path(part).stem] - {part}
        assert not above, f"{file.name} imports {sorted(above)}"


def test_recipes_use_public_names_only():
    for file in RECIPES.rglob("*.py"):
        private = {part for part in imported_parts(file) if part.startswith("_")}
        assert not private, f"{file} imports {private}"


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, gmmaudio; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "librosa", "numba", "sklearn", "matplotlib", "dask", "distributed"} & set(loaded)
