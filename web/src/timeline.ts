// timeline.ts: the heap and the resident memory over time, with the peak and marks.
//
// Decides: the heap is drawn at its most inside each interval, so that no peak is missed. The resident memory of several processes is
// the sum of what each was last seen with. Hovering reads values; a stretch that is brushed snaps to the stored edges.

import uPlot from "uplot";

import type { Block } from "./data";
import { palette } from "./colors";
import * as format from "./format";
import { nearest, timesOf, type Window } from "./windows";

const HEIGHT = 120;
const SIZES = Array.from({ length: 50 }, (_, power) => 2 ** power); // steps of the axis of bytes

interface Series {
  times: number[];
  heap: (number | null)[];
  resident: (number | null)[];
}

// Resident memory at each of the times, of all processes together; null before anything is known.
function residentAt(block: Block, times: number[]): (number | null)[] {
  const sums: (number | null)[] = times.map(() => null);
  for (const one of block.rss) {
    const end = block.processes.end_ns[one.process] as number;
    let next = 0;
    times.forEach((time, i) => {
      while (next < one.time_ns.length && (one.time_ns[next] as number) <= time * 1e9) next++;
      const alive = next > 0 && (time * 1e9 <= end || next < one.time_ns.length);
      if (alive) sums[i] = (sums[i] ?? 0) + (one.bytes[next - 1] as number);
    });
  }
  return sums;
}

function seriesOf(block: Block): Series | null {
  if (!block.timeline) return null;
  const times = block.timeline.time_ns.map((ns) => ns / 1e9);
  return { times, heap: block.timeline.most, resident: residentAt(block, times) };
}

export class Timeline {
  private plot: uPlot | null = null;
  private readonly series: Series | null;
  private window: Window | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly block: Block,
    private readonly reading: HTMLElement,
    private readonly chosen: (window: Window | null) => void, // null: all of the run
  ) {
    this.series = seriesOf(block);
    host.hidden = this.series === null;
    if (this.series) {
      this.build();
      new ResizeObserver(() => {
        this.plot?.setSize({ width: host.clientWidth, height: HEIGHT });
        this.mark();
      }).observe(host);
    }
  }

  build(): void {
    const series = this.series as Series;
    const colors = palette();
    this.plot?.destroy();
    const axis: uPlot.Axis = { stroke: colors.faint, grid: { stroke: colors.line, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    this.plot = new uPlot(
      {
        width: this.host.clientWidth || 600,
        height: HEIGHT,
        padding: [12, 8, 0, 0],
        scales: { x: { time: false }, y: { range: (_u, _min, max) => [0, (max || 1) * 1.05] } },
        legend: { show: false },
        cursor: { drag: { x: this.block.edges !== null, y: false, setScale: false }, y: false, points: { size: 6 }, bind: { dblclick: () => () => this.clear() } },
        axes: [
          { ...axis, values: (_u, ticks) => ticks.map((t) => (t === 0 ? "0" : format.clock(t))), size: 22 },
          { ...axis, values: (_u, ticks) => ticks.map((t) => format.bytes(t)), size: 64, space: 32, incrs: SIZES },
        ],
        series: [
          {},
          { label: "heap", stroke: colors.accent, fill: `${colors.accent}2a`, width: 1.5, points: { show: false } },
          { label: "RSS", stroke: colors.faint, dash: [4, 3], width: 1.5, points: { show: false }, spanGaps: true },
        ],
        hooks: { draw: [(plot) => this.flag(plot)], setCursor: [(plot) => this.read(plot)], setSelect: [(plot) => this.brush(plot)], ready: [() => this.mark()] },
      },
      [series.times, series.heap, series.resident] as uPlot.AlignedData,
      this.host,
    );
  }

  // What was brushed, as it is snapped to the edges.
  private brush(plot: uPlot): void {
    const edges = this.block.edges;
    if (!edges || plot.select.width < 2) return;
    this.chosen(nearest(edges, plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")));
  }

  private clear(): null {
    this.chosen(null);
    return null;
  }

  select(window: Window | null): void {
    this.window = window;
    this.mark();
  }

  private mark(): void {
    const plot = this.plot;
    const edges = this.block.edges;
    if (!plot || !edges) return;
    const [start, end] = this.window ? timesOf(edges, this.window) : [0, 0];
    const left = plot.valToPos(start, "x");
    const width = plot.valToPos(end, "x") - left;
    plot.setSelect({ left, width: this.window ? Math.max(width, 1) : 0, top: 0, height: this.window ? plot.over.clientHeight : 0 }, false);
  }

  // The peak and the marks, above the chart.
  private flag(plot: uPlot): void {
    const { stats } = this.block;
    const colors = palette();
    const context = plot.ctx;
    const ratio = window.devicePixelRatio || 1;
    context.save();
    context.font = `${11 * ratio}px system-ui`;
    context.textBaseline = "top";
    for (const mark of stats.marks ?? []) this.line(plot, mark.time_s, colors.faint);
    if (stats.peak_time_s !== null) {
      const x = this.line(plot, stats.peak_time_s, colors.text);
      const text = `peak ${format.bytes(stats.peak_bytes ?? 0)}`;
      const right = x + context.measureText(text).width + 8 * ratio > plot.bbox.left + plot.bbox.width;
      context.textAlign = right ? "right" : "left";
      context.fillStyle = colors.text;
      context.fillText(text, x + (right ? -4 : 4) * ratio, plot.bbox.top - 10 * ratio);
    }
    context.restore();
  }

  private line(plot: uPlot, time: number, color: string): number {
    const x = Math.round(plot.valToPos(time, "x", true));
    plot.ctx.strokeStyle = color;
    plot.ctx.lineWidth = window.devicePixelRatio || 1;
    plot.ctx.beginPath();
    plot.ctx.moveTo(x, plot.bbox.top - 10);
    plot.ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
    plot.ctx.stroke();
    return x;
  }

  private read(plot: uPlot): void {
    const at = plot.cursor.idx;
    const series = this.series as Series;
    if (at === null || at === undefined) {
      this.reading.textContent = "";
      return;
    }
    const resident = series.resident[at];
    const rss = resident === null || resident === undefined ? "" : ` · RSS ${format.bytes(resident)}`;
    this.reading.textContent = `${format.clock(series.times[at] as number)} · heap ${format.bytes(series.heap[at] ?? 0)}${rss}`;
  }
}
