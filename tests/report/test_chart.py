"""What the chart says that it shows."""

from pathlib import Path

from dacn.report.chart import bar_chart
from dacn.report.rows import Row
from dacn.report.runs import Run


def run(source: float | None) -> Run:
    return Run(Path(), {"target": {"selected": 80.0}, "source": {"selected": source}}, {"seed": 0})


def label(*sources: float | None) -> str:
    rows = [Row(f"row {index}", (run(source),)) for index, source in enumerate(sources)]
    return bar_chart(rows).axes[0].get_xlabel()


def test_accuracy_is_the_target_s_where_there_is_a_source() -> None:
    assert label(99.0, 98.0) == "target accuracy, %: mean ± standard deviation, dots are seeds"
    assert label(None, None) == "accuracy, %: mean ± standard deviation, dots are seeds"


def test_without_labels_the_chart_says_so() -> None:
    unlabelled = Run(Path(), {"target": {"selected": None}, "source": {"selected": 99.0}}, {"seed": 0})
    texts = [text.get_text() for text in bar_chart([Row("one", (unlabelled,))]).texts]
    assert texts == ["no run has target labels to report on"]
