# SPDX-License-Identifier: MIT
"""Results as charts: SVG files of horizontal bars, a group for each workload.

Every group has a scale of its own, because workloads are not to be compared with
each other; the numbers stand behind the bars. A thin line through the end of a
bar goes from the slowest round to the fastest.
"""

from html import escape

import plan

WIDTH, MARGIN, LABELS, VALUES = 720, 12, 110, 90
BAR, GAP, GROUP_GAP, TITLE = 15, 3, 14, 46
COLOURS = {  # by label; others are grey
    "bdus ioctl": "#1b6ca8",
    "bdus mmap": "#2a9d8f",
    "bdus uds": "#e9a03b",
    "bdus ring": "#7a4fa3",
    "nbd + nbdkit": "#b5483a",
}


def draw(results):
    """All charts of some results: name -> SVG."""
    charts = {}
    for name, mode, is_large, title, value, low_high in CHARTS:
        chosen = [each for each in results
                  if each.part.is_drawn and each.mode == mode and
                  (each.workload.block_size > 4096) == is_large]
        if chosen:
            bars = [(each.workload.label, each.subject.label, value(each),
                     low_high(each)) for each in chosen]
            charts[name] = chart(title, bars)
    return charts


def instructions(result):
    return result.record["instructions_per_request"]


def iops(result):
    return result.record["iops"]


def iops_spread(result):
    return min(result.rounds), max(result.rounds)


def megabytes(result):
    return result.record["mb_per_s"]


def megabytes_spread(result):
    each = result.record["mb_per_s"] / result.record["iops"]
    return tuple(rate * each for rate in iops_spread(result))


def nothing(result):
    return None


CHARTS = [
    ("instructions-small", plan.INSTRUCTIONS, False,
     "Instructions per request, one processor (less is better)",
     instructions, nothing),
    ("instructions-large", plan.INSTRUCTIONS, True,
     "Instructions per request, one processor (less is better)",
     instructions, nothing),
    ("rates-small", plan.RATES, False,
     "Requests per second, two processors (more is better)",
     iops, iops_spread),
    ("rates-large", plan.RATES, True,
     "Megabytes per second, two processors (more is better)",
     megabytes, megabytes_spread),
]


def chart(title, bars):
    """An SVG of bars: tuples of group, label, value, and None or the lowest
    and the highest value."""
    groups = {}
    for group, *bar in bars:
        groups.setdefault(group, []).append(bar)
    parts = [text(MARGIN, 22, title, size=15, weight="bold")]
    y = TITLE
    for group, members in groups.items():
        parts.append(text(MARGIN, y + 11, group, weight="bold"))
        y += BAR + GAP + 2
        scale = (WIDTH - LABELS - VALUES - 2 * MARGIN) / max(
            [value for _, value, _ in members] +
            [spread[1] for _, _, spread in members if spread])
        for bar in members:
            parts += draw_bar(y, scale, *bar)
            y += BAR + GAP
        y += GROUP_GAP
    return document(WIDTH, y, parts)


def draw_bar(y, scale, label, value, spread):
    left = MARGIN + LABELS
    right = left + max(1, value * scale)
    parts = [
        text(left - 6, y + 12, label, anchor="end"),
        f'<rect x="{left}" y="{y}" width="{right - left:.1f}" height="{BAR}" '
        f'fill="{COLOURS.get(label, "#8d99a6")}"/>',
    ]
    if spread:
        low, high = (left + each * scale for each in spread)
        parts.append(f'<path d="M{low:.1f} {y + BAR / 2}H{high:.1f}" '
                     'stroke="#222" stroke-width="1.5"/>')
        right = max(right, high)
    parts.append(text(right + 5, y + 12, f"{value:,.0f}"))
    return parts


def text(x, y, content, size=12, weight="normal", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y}" font-size="{size}" '
            f'font-weight="{weight}" text-anchor="{anchor}">'
            f'{escape(content)}</text>')


def document(width, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *parts, "</svg>", ""])
