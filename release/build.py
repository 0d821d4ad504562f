"""Build a release into dist/: `make release`, or `python release/build.py --help`.

sdist and wheel, a bill of materials (CycloneDX) of what the wheel installs, SHA-256 sums. The wheel
is installed into a clean environment of each Python named, where it must segment; then with the
extra `analysis`, where the README's commands must run. Nothing is uploaded and no tag is set: the
commands for that are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS = ("build==1.6.1", "cyclonedx-bom==7.5.0")
SECTIONS = (
    "Segment a scan",
    "Segment a NumPy array in Python",
    "Score results against reference masks",
)
NEEDED_IN_WHEEL = (
    r"brainmets/bundles/attention-unet-3d/model\.onnx",
    r"brainmets/recipes/first-training\.toml",
    r"brainmets/py\.typed",
    r"brainmets-[\d.]+\.dist-info/licenses/LICENSE",
)


def main() -> int:
    """Check, build, try and list; the exit code is 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", action="append", help="Python to try the wheel on. Repeatable; this one."
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist")
    parser.add_argument("--allow-changes", action="store_true", help="Build uncommitted changes.")
    arguments = parser.parse_args()
    version = release_version()
    if not arguments.allow_changes and told("git", "status", "--porcelain"):
        sys.exit("uncommitted changes: commit them, or add --allow-changes to rehearse")
    check_texts(version)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="brainmets-release-") as folder:
        scratch = Path(folder)
        tools = environment(sys.executable, scratch / "tools", *TOOLS)
        run(str(tools), "-m", "build", "--outdir", str(out), str(REPOSITORY))
        wheel = next(out.glob("*.whl"))
        check_wheel(wheel)
        for number, python in enumerate(arguments.python or [sys.executable]):
            say(f"quick start on {told(python, '--version')}")
            tried = environment(
                python, scratch / str(number), str(wheel),
                "--constraint", str(REPOSITORY / "constraints.txt"),
            )  # fmt: skip
            quick_start(tried, scratch)
            if number == 0:
                bill = out / f"brainmets-{version}.cdx.json"
                run(str(tools), "-m", "cyclonedx_py", "environment", str(tried), "--of", "JSON",
                    "--output-file", str(bill))  # fmt: skip
            run(str(tried), "-m", "pip", "install", "--quiet", f"{wheel}[analysis]",
                "--constraint", str(REPOSITORY / "constraints.txt"))  # fmt: skip
            readme_quick_start(tried, scratch)
    write_sums(out)
    say(f"\n{out}:\n" + (out / "SHA256SUMS").read_text(encoding="utf-8"))
    say(f"git tag --annotate v{version} --message 'brainmets {version}'")
    say(f"git push origin v{version}")
    say(f"twine upload {out}/*.whl {out}/*.tar.gz")
    return 0


def release_version() -> str:
    """Return the version that the package names."""
    text = (REPOSITORY / "src" / "brainmets" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    return found[1] if found else sys.exit("src/brainmets/__init__.py names no version x.y.z")


def check_texts(version: str) -> None:
    """Refuse a version that the changelog or the citation does not speak of."""
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    title = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n"
    section = re.search(rf"{title}(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    if section is None or not re.search(r"^- ", section[1], re.MULTILINE):
        sys.exit(f"CHANGELOG.md has no section `## {version} - YYYY-MM-DD` with entries")
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    if f"\nversion: {version}\n" not in citation:
        sys.exit(f"CITATION.cff does not say `version: {version}`")


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel without models, recipes, types or licence, or with what is not ours."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for pattern in NEEDED_IN_WHEEL:
        if not any(re.fullmatch(pattern, name) for name in names):
            sys.exit(f"{wheel.name} holds nothing like {pattern}")
    strange = [name for name in names if not re.match(r"brainmets(/|-[\d.]+\.dist-info/)", name)]
    if strange:
        sys.exit(f"{wheel.name} holds {strange[0]}")


def environment(python: str, folder: Path, *packages: str) -> Path:
    """Make an environment, install into it, and return its Python."""
    run(python, "-m", "venv", str(folder))
    inside = folder / "bin" / "python"
    quiet = ("--quiet", "--disable-pip-version-check")
    run(str(inside), "-m", "pip", "install", *quiet, *packages)
    return inside


def quick_start(python: Path, scratch: Path) -> None:
    """Segment a small head without any extra, away from the repository."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    brainmets = str(python.with_name("brainmets"))
    draw = (
        "import numpy, nibabel; from brainmets.domain import Geometry, HeadPhantom;"
        "image, _ = HeadPhantom().render(Geometry.isotropic((64, 72, 64), spacing_mm=3.0));"
        "nibabel.save(nibabel.Nifti1Image(image.data, image.geometry.affine), 'head.nii.gz')"
    )
    run(str(python), "-I", "-c", draw, cwd=folder)
    run(brainmets, "segment", "head.nii.gz", "--out", "results", cwd=folder)
    run(brainmets, "info", cwd=folder)
    call = "import brainmets; print(brainmets.segment('head.nii.gz').save('again'))"
    run(str(python), "-I", "-c", call, cwd=folder)
    for name in ("results", "again"):
        if not (folder / name / "mask.nii.gz").is_file():
            sys.exit("the quick start left no mask")


def readme_quick_start(python: Path, scratch: Path) -> None:
    """Run the README's blocks as they are written: segmentation, Python, scores."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    for language, block in readme_blocks():
        shell = ["bash", "-euo", "pipefail", "-c", f'PATH="{python.parent}:$PATH"\n{block}']
        run(*(shell if language == "bash" else [str(python), "-I", "-c", block]), cwd=folder)
    if not (folder / "scores" / "scores.json").is_file():
        sys.exit("the README's commands left no scores")


def readme_blocks() -> list[tuple[str, str]]:
    """Return language and text of the README's first block in each section of `SECTIONS`."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = [
        re.search(rf"^### {section}\n```(\w+)\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        for section in SECTIONS
    ]
    if None in found:
        sys.exit(f"the README lacks one of the sections {SECTIONS}")
    return [(block[1], block[2]) for block in found if block]


def write_sums(out: Path) -> None:
    """Write SHA256SUMS, which `sha256sum --check` reads."""
    files = sorted(path for path in out.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def run(*command: str, cwd: Path = REPOSITORY) -> None:
    """Run a command; end with its exit code if it fails."""
    done = subprocess.run(command, cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} {' '.join(command[1:4])} … ended with {done.returncode}")


def told(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.strip()


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
