"""The table."""

import json
import statistics


def median(rounds, measure):
    return statistics.median(getattr(measured, measure) for measured in rounds)


def figure(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


HEAD = ["case", "req/s", "CPU µs", "p50 ms", "p99 ms", "against", "req/s ×", "CPU ×", "goal", "reached"]


def rows(cases, pieces):
    """One row for each case, and one for each further thing that it is compared with."""
    by_name = {case.name: case for case in cases}
    table = []
    for case in cases:
        if not case.rounds:
            table.append([case.name, *["–"] * 8, "left out"])
            continue
        own = [figure(median(case.rounds, name)) for name in ("per_second", "cpu_us", "p50_ms", "p99_ms")]
        failed = sum(measured.failed for measured in case.rounds)
        first = True
        for against in compared_with(case):
            goals = [goal for goal in case.goals if (goal.against or case.against) == against]
            other = by_name.get(against)
            if against and not (other and other.rounds):
                ratios = None
            else:
                ratios = ratios_of(case, other)
            if ratios is None and not first:
                continue
            verdicts, texts = [], []
            for goal in goals:
                value = value_of(goal, case, ratios, pieces)
                if goal.at_least is None and goal.at_most is None:
                    continue
                texts.append(f"{LABELS[goal.measure]} {goal}")
                verdicts.append("?" if value is None else ("yes" if goal.reached(value) else "NO"))
                if goal.measure == "verify_share" and value is not None:
                    verdicts[-1] += f" ({value:.2f})"
            table.append(
                [
                    case.name if first else "",
                    *(own if first else [""] * 4),
                    against or "",
                    figure(ratios["per_second"]) if ratios and against else "",
                    figure(ratios["cpu_us"]) if ratios and against else "",
                    ", ".join(texts),
                    ", ".join(verdicts) + (f" {failed} FAILED" if failed and first else ""),
                ]
            )
            first = False
    return table


LABELS = {"per_second": "req/s", "cpu_us": "CPU", "p99_ms": "p99 ms", "verify_share": "verifying"}


def compared_with(case):
    seen = [case.against]
    for goal in case.goals:
        if goal.against and goal.against not in seen:
            seen.append(goal.against)
    return seen


def ratios_of(case, other):
    """Ratios round by round, then their median: what disturbed a round disturbed both sides."""
    if other is None:
        return None
    pairs = list(zip(case.rounds, other.rounds))
    return {
        name: statistics.median(getattr(a, name) / max(getattr(b, name), 1e-9) for a, b in pairs)
        for name in ("per_second", "cpu_us")
    }


def value_of(goal, case, ratios, pieces):
    if goal.measure == "verify_share":
        return pieces["verify_ES256"] / 1000 / median(case.rounds, "cpu_us") if pieces else None
    if goal.measure == "p99_ms":
        return median(case.rounds, "p99_ms")
    return ratios[goal.measure] if ratios else None


def single_rows(results):
    table = []
    for what, value, unit, goal, note in results:
        verdict = "" if goal is None else ("yes" if goal.reached(value) else "NO")
        table.append([what, f"{figure(value)} {unit}", str(goal or ""), verdict, note])
    return table


def markdown(head, table):
    widths = [max(len(str(row[place])) for row in [head, *table]) for place in range(len(head))]
    line = lambda cells: "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |"
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, table)])


def as_json(file, lines, cases, pieces, results):
    """Everything that was measured, for those who draw curves."""
    value = {
        "machine": lines,
        "pieces_ns": pieces,
        "cases": [
            {"name": case.name, "rounds": [vars(measured) for measured in case.rounds], "skipped": case.skipped}
            for case in cases
        ],
        "once": [[what, value, unit, str(goal or ""), note] for what, value, unit, goal, note in results],
    }
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
