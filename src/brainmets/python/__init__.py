"""The Python API: what `import brainmets` offers, each name loaded when it is first used.

`brainmets/__init__.py` lists the names; `docs/reference/python.md` describes them with examples.
"""

__all__: list[str] = []
