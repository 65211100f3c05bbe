# SPDX-License-Identifier: MIT
"""Results as tables: a row for each workload, a column for each subject.

They are simple tables of reStructuredText, which people can read as they are
and the manual includes.
"""

import plan


def render(results):
    """All tables of some results, as text."""
    tables = []
    for mode in dict.fromkeys(result.mode for result in results):
        chosen = [result for result in results if result.mode == mode]
        for title, cell in COLUMNS[mode]:
            tables.append(table(title, chosen, cell))
    return "\n\n".join(tables) + "\n"


def field(name, pattern):
    """A cell that shows a field of a record."""
    def cell(result, others):
        value = result.record[name]
        return "-" if value is None else pattern.format(value)
    return cell


def relative(result, others):
    """Instructions as a multiple of the reference's."""
    own = result.record["instructions_per_request"]
    for other in others:
        if other.subject.label == plan.REFERENCE:
            return f"{own / other.record['instructions_per_request']:.2f}"
    return "-"


def rate(result, others):
    """The median, in MB/s for large blocks, and how far rounds were off."""
    middle = result.record["iops"]
    spread = max(abs(each - middle) for each in result.iops) / middle
    if result.workload.block_size > 4096:
        text = f"{result.record['mb_per_s']:,.0f} MB/s"
    else:
        text = f"{middle:,.0f}"
    return f"{text} ±{spread:.0%}"


CALLS = ("System calls per request, of client and driver",
         field("syscalls_per_request", "{:.2f}"))
SWITCHES = ("Context switches per request, of the whole machine",
            field("context_switches_per_request", "{:.2f}"))

COLUMNS = {
    plan.INSTRUCTIONS: [
        ("Instructions per request, one processor",
         field("instructions_per_request", "{:,}")),
        (f"Instructions per request as a multiple of {plan.REFERENCE}",
         relative),
        CALLS, SWITCHES,
    ],
    plan.RATES: [
        ("Requests per second, two processors: median of the rounds, and how "
         "far the farthest was off", rate),
        CALLS, SWITCHES,
    ],
}


def table(title, results, cell):
    subjects = list(dict.fromkeys(result.subject for result in results))
    workloads = list(dict.fromkeys(result.workload for result in results))
    rows = [["", *(subject.label for subject in subjects)]]
    for workload in workloads:
        found = {result.subject: result for result in results
                 if result.workload == workload}
        rows.append([workload.label,
                     *(cell(found[subject], found.values())
                       if subject in found else "-" for subject in subjects)])
    return f"{title}:\n\n{simple_table(rows)}"


def simple_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    rule = "  ".join("=" * max(width, 1) for width in widths)
    # An empty first cell would continue the line above it.
    head, *body = [["\\" if not cell else cell for cell in row] for row in rows]
    lines = [rule, line(head, widths), rule,
             *(line(row, widths) for row in body), rule]
    return "\n".join(lines)


def line(cells, widths):
    first, *others = zip(cells, widths)
    return "  ".join([first[0].ljust(first[1]),
                      *(cell.rjust(width) for cell, width in others)]).rstrip()
