"""Writes the chart's dashboards: `python -m helm.dashboards`."""

from pathlib import Path

from helm.dashboards import blocked, exporter, gpus, money, showback, workloads

FOLDER = Path(__file__).parents[1] / "gpuwise" / "files" / "dashboards"
BOARDS = (money.BOARD, gpus.BOARD, workloads.BOARD, showback.BOARD, blocked.BOARD, exporter.BOARD)


def files() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {f"{board.uid}.json": board.build() for board in BOARDS}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)
