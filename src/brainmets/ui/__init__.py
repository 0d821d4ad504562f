"""The web page: upload, progress, the result on a workbench, past jobs."""

__all__: list[str] = []
