"""Checks that imports inside the package point down the layers only, and that wrapped libraries have one importer."""

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sweep"

LAYERS = (
    ("__main__", "cli", "commands", "terminal"),
    ("config",),
    ("report", "compare", "imports", "submission", "dashboard"),
    ("results",),
    ("study",),
    ("search",),
    ("store",),
    ("trial",),
    ("loadgen",),
    ("backends",),
    ("datasets",),
    ("models",),
    ("environment", "gpus", "paths", "vocabulary", "errors", ""),
)
"""Highest first; a module may import its own layer and those below. The last holds the package itself: anything may
import `sweep.__version__`, and what the package offers to users it imports from anywhere, inside its functions."""

ONLY_IMPORTERS = {
    "hydra": ("config/hydra_app.py", "config/hydra_errors.py"),
    "jinja2": ("report/",),
    "matplotlib": ("report/",),
    "mlperf_loadgen": ("loadgen/",),
    "onnx": ("models/",),
    "onnxruntime": ("models/ort.py",),
    "optuna": ("search/",),
    "pandas": ("store/", "report/", "dashboard/ck_table.py", "results/load.py", "__init__.py"),
    "plotly": ("report/",),
    "plotext": ("terminal/",),
    "pynvml": ("trial/nvml.py",),
    "rich": ("terminal/", "commands/"),
}


def rank(module: str) -> int:
    """Return how high a module (`sweep.trial.spec`) stands; 0 is the top."""
    name = module.split(".")[1] if "." in module else ""
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    sys.exit(f"{module}: in no layer; add it to .ci/check_layers.py")


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, under TYPE_CHECKING too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "sweep":
                found.update(f"sweep.{alias.name}" for alias in node.names if (SOURCE / f"{alias.name}.py").exists())
    return found


def main() -> None:
    """Report every import that points up, or around a wrapper."""
    wrong: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        module = ".".join(("sweep", *relative.with_suffix("").parts)).removesuffix(".__init__")
        for imported in imports(path):
            if module != "sweep" and imported.split(".")[0] == "sweep" and rank(imported) < rank(module):
                wrong.append(f"{relative}: imports {imported}, which stands above it")
            allowed = ONLY_IMPORTERS.get(imported.split(".")[0])
            if allowed is not None and not str(relative).startswith(allowed):
                wrong.append(f"{relative}: imports {imported}; only {', '.join(allowed)} may")
    print("\n".join(wrong) or "imports point down")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
