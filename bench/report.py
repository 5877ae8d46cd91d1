# SPDX-License-Identifier: Apache-2.0
"""Results as a table, as JSON, and as a bar chart (SVG) of the ratios."""
import html
import json
import platform
import os


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} processors ({model})"


def table(title, results):
    lines = [title, machine(), ""]
    width = max(len(r["name"]) for r in results)
    lines.append(f"{'':{width}}  {'ours':>12} {'peer':>12} {'unit':>6} {'ratio':>7} {'wanted':>7}  peer")
    for r in results:
        ok = "" if r["ratio"] is None or r["wanted"] is None or r["ratio"] >= r["wanted"] else "  (missed)"
        lines.append(f"{r['name']:{width}}  {number(r['ours']):>12} {number(r['peer']):>12} {r['unit']:>6} {number(r['ratio']):>7} "
                     f"{number(r['wanted']):>7}  {r['peer_name'] or ''}{ok}")
    return "\n".join(lines) + "\n"


def chart(title, results):
    """A bar for each ratio, against the line of what is wanted."""
    rows = [r for r in results if r["ratio"] is not None]
    scale, left, bar, top = 150, 420, 20, 50
    most = max([min(r["ratio"], 5) for r in rows] + [1])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + int(most * scale) + 120}" height="{top + len(rows) * 30 + 20}" '
           'font-family="sans-serif" font-size="13">', f'<text x="10" y="25" font-size="16">{html.escape(title)}</text>']
    for i, r in enumerate(rows):
        y, shown = top + i * 30, min(r["ratio"], 5)
        good = r["wanted"] is None or r["ratio"] >= r["wanted"]
        out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{html.escape(r["name"])}</text>')
        out.append(f'<rect x="{left}" y="{y}" width="{shown * scale:.0f}" height="{bar}" fill="{"#3a7d44" if good else "#b3412f"}"/>')
        out.append(f'<text x="{left + shown * scale + 6:.0f}" y="{y + 15}">{r["ratio"]:.2f} × {html.escape(r["peer_name"] or "")}</text>')
        if r["wanted"]:
            x = left + min(r["wanted"], 5) * scale
            out.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{y - 3}" y2="{y + bar + 3}" stroke="black" stroke-width="2"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def write(directory, name, title, results):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.txt").write_text(table(title, results))
    (directory / f"{name}.json").write_text(json.dumps({"title": title, "machine": machine(), "results": results}, indent=1) + "\n")
    (directory / f"{name}.svg").write_text(chart(title, results))
