# SPDX-License-Identifier: MIT
"""Results as tables: a row for each workload, a column for each subject.

They are simple tables of reStructuredText, which people can read as they are
and the manual includes.
"""

import statistics

import plan


def render(results):
    """All tables of some results, as text."""
    tables = []
    for part in dict.fromkeys(result.part for result in results):
        chosen = [result for result in results if result.part == part]
        for title, cell in columns(part):
            tables.append(table(title, chosen, cell))
    tables = [each for each in tables if each]
    return "\n\n".join(tables) + "\n"


def field(name, pattern, factor=1):
    """A cell that shows a field of a record."""
    def cell(result, reference):
        value = result.record.get(name)
        return "-" if value is None else pattern.format(value * factor)
    return cell


def multiple(result, reference):
    """Instructions as a multiple of the reference's."""
    if not reference:
        return "-"
    name = "instructions_per_request"
    return f"{result.record[name] / reference.record[name]:.2f}"


def beyond(result, reference):
    """Instructions more than the reference's."""
    if not reference:
        return "-"
    name = "instructions_per_request"
    return f"{result.record[name] - reference.record[name]:+,}"


def rate(result, reference):
    """The median, in MB/s for large blocks."""
    return amount(result, result.record["iops"])


def spread(result, reference):
    low, high = min(result.rounds), max(result.rounds)
    return f"{amount(result, low)} to {amount(result, high)}"


def amount(result, iops):
    if result.workload.block_size <= 4096:
        return f"{iops:,.0f}"
    return f"{iops * result.workload.block_size / 1e6:,.0f} MB/s"


def ratio(result, reference):
    """To the reference in the same round, where the host was much the same."""
    if not reference:
        return "-"
    return "{:.2f}".format(statistics.median(
        own / other for own, other in zip(result.rounds, reference.rounds)))


CALLS = ("System calls per request, of client and driver",
         field("syscalls_per_request", "{:.2f}"))
SWITCHES = ("Context switches per {}, of the whole machine",
            field("context_switches_per_request", "{:.2f}"))


def columns(part):
    """Titles and cells of the tables of a part."""
    about = f"{part.title}. " if part.title else ""
    if part.what == "devices":
        found = devices(part)
    elif part.mode == plan.INSTRUCTIONS:
        found = instructions(part)
    else:
        found = rates(part)
    thing = {"fio": "request", "files": "file", "devices": "device"}[part.what]
    return [(about + title.format(thing), cell) for title, cell in found]


def instructions(part):
    found = [
        ("Instructions per {}, one processor",
         field("instructions_per_request", "{:,}")),
        (f"Instructions per {{}} as a multiple of {part.reference}", multiple),
    ]
    if part.title:
        found.append((f"Instructions per {{}} beyond {part.reference}", beyond))
    return [*found, *calls(part)]


def rates(part):
    things = "Files" if part.what == "files" else "Requests"
    which = "one processor" if part.is_exact else "two processors"
    title = f"{things} per second, {which}"
    if part.rounds == 1:
        found = [(title, rate)]
    else:
        found = [(f"{title}: median of {part.rounds} rounds", rate),
                 (f"{title}: the slowest round and the fastest", spread)]
    if part.reference:
        found.append((f"The same as a multiple of {part.reference}: median of what "
                      "it was in each round", ratio))
    return [*found, *calls(part)]


def calls(part):
    return [CALLS, SWITCHES] if part.seconds_counting and part.what == "fio" \
        else [SWITCHES]


def devices(part):
    return [
        ("Instructions per {}, of all processes and the kernel",
         field("instructions_per_request", "{:,}")),
        (f"Instructions per {{}} beyond {part.reference}", beyond),
        SWITCHES,
        ("KiB of memory per idle {}: what is less available",
         field("memory_per_device", "{:,.0f}", 1 / 1024)),
        ("KiB of memory per idle {}: in slabs",
         field("slab_per_device", "{:,.0f}", 1 / 1024)),
        ("KiB of memory per idle {}: in vmalloc",
         field("vmalloc_per_device", "{:,.0f}", 1 / 1024)),
        ("KiB of memory per idle {}: per processor",
         field("per_processor_per_device", "{:,.0f}", 1 / 1024)),
    ]


def table(title, results, cell):
    """None if nothing of it was measured."""
    subjects = list(dict.fromkeys(result.subject for result in results))
    workloads = list(dict.fromkeys(result.workload for result in results))
    rows = [["", *(subject.label for subject in subjects)]]
    for workload in workloads:
        found = {result.subject: result for result in results
                 if result.workload == workload}
        reference = next((result for result in found.values() if
                          result.subject.label == result.part.reference), None)
        cells = [cell(found[subject], reference) if subject in found else "-"
                 for subject in subjects]
        if set(cells) != {"-"}:
            rows.append([workload.label, *cells])
    return f"{title}:\n\n{simple_table(rows)}" if rows[1:] else None


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
