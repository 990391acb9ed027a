// Validation accuracy by epoch, small: one chart a dataset, one curve a cell.
import type { Colour, Strategy } from '../protocol/run.js';
import type { StudySnapshot } from '../protocol/study.js';

export interface StudyCurveSeries {
  readonly strategy: Strategy;
  readonly colour: Colour;
  readonly epochs: number;
  /** Mean over the seeds that have come so far. */
  readonly values: readonly number[];
  /** Some run of it goes on. */
  readonly open: boolean;
}

/** The mean curves of a dataset and a backbone; an epoch's mean is over the seeds that have reached it, and all must: else the curve would jump. */
export function curvesOf({ record, curves }: StudySnapshot, dataset: number, backbone: string): StudyCurveSeries[] {
  const { strategies, colours } = record.plan;
  return strategies.flatMap((strategy) => colours.flatMap((colour) => {
    const all = curves.filter(({ run, validation }) => {
      const planned = record.runs[run];
      return planned?.dataset === dataset && planned.backbone === backbone && planned.strategy === strategy && planned.colour === colour && validation.length > 0;
    });
    const ended = all.filter(({ state }) => state === 'finished');
    // A second seed that has just begun would cut the curve short: until it has ended it is not in the mean.
    // Nor is one on other images than the last: where a dataset was changed the mean is over those on the same.
    const shown = ended.length > 0 ? ended.filter(({ fingerprint }) => fingerprint === ended.at(-1)?.fingerprint) : all.slice(-1);
    const [first] = shown;
    if (first === undefined) return [];
    const length = Math.min(...shown.map(({ validation }) => validation.length));
    const values = Array.from({ length }, (_, epoch) => shown.reduce((sum, { validation }) => sum + (validation[epoch]?.accuracy ?? 0), 0) / shown.length);
    return [{ strategy, colour, epochs: Math.max(...shown.map(({ epochs }) => epochs)), values, open: ended.length === 0 }];
  }));
}

const WIDTH = 240;
const HEIGHT = 150;
const LEFT = 30;
const [TOP, BOTTOM] = [8, 20];

/** What a chart is drawn from, in its own units. */
export interface CurveDrawing {
  readonly width: number;
  readonly height: number;
  readonly grid: readonly { readonly y: number; readonly label: string }[];
  readonly axis: { readonly left: number; readonly right: number; readonly y: number; readonly epochs: number };
  /** `classes` name strategy and colour; one point is a dot. */
  readonly lines: readonly { readonly classes: string; readonly points: readonly (readonly [x: number, y: number])[]; readonly open: boolean }[];
}

export function drawCurves(series: readonly StudyCurveSeries[]): CurveDrawing {
  const { low, high, ticks } = curveAxis(series.flatMap(({ values }) => values));
  const right = WIDTH - 6;
  const rounded = (value: number): number => Math.round(value * 10) / 10;
  // Freeze counts epochs of the last layer, finetune those of all layers: each curve has the whole width.
  const x = (epoch: number, epochs: number): number => rounded(LEFT + (epochs <= 1 ? 0.5 : epoch / (epochs - 1)) * (right - LEFT));
  const y = (value: number): number => rounded(TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM));
  return {
    width: WIDTH, height: HEIGHT,
    grid: ticks.map((tick) => ({ y: y(tick), label: tickText(tick) })),
    axis: { left: LEFT, right, y: HEIGHT - BOTTOM, epochs: Math.max(1, ...series.map(({ epochs }) => epochs)) },
    lines: series.map(({ strategy, colour, epochs, values, open }) => (
      { classes: `${strategy}${colour === 'gray' ? ' gray' : ''}`, points: values.map((value, epoch) => [x(epoch, epochs), y(value)] as const), open })),
  };
}

/** The drawing as SVG; `label` is markup already. */
export function curvesSvg(series: readonly StudyCurveSeries[], label: string): string {
  const { width, height, grid, axis, lines } = drawCurves(series);
  const drawn = [
    ...grid.map((line) => `<line class="grid" x1="${axis.left}" x2="${axis.right}" y1="${line.y}" y2="${line.y}"/><text x="${axis.left - 6}" y="${line.y + 4}" text-anchor="end">${line.label}</text>`),
    `<line class="axis" x1="${axis.left}" x2="${axis.right}" y1="${axis.y}" y2="${axis.y}"/><text x="${axis.left}" y="${height - 4}">1</text><text x="${axis.right}" y="${height - 4}" text-anchor="end">${axis.epochs}</text>`,
    ...lines.map(({ classes, points }) => (points.length === 1 ? `<circle class="${classes}" cx="${points[0]?.[0] ?? 0}" cy="${points[0]?.[1] ?? 0}" r="2.5"/>` : `<polyline class="${classes}" points="${points.map((point) => point.join(',')).join(' ')}"/>`)),
  ];
  return `<svg role="img" aria-label="${label}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${drawn.join('')}</svg>`;
}

/** A scale that holds all values, with two to seven ticks. */
export function curveAxis(values: readonly number[]): { readonly low: number; readonly high: number; readonly ticks: readonly number[] } {
  const lowest = Math.min(1, ...values);
  const highest = Math.max(lowest, ...values);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (highest - lowest) / size <= 5) ?? 0.25;
  const last = Math.min(Math.ceil(highest / step - 1e-9), Math.round(1 / step));
  const first = Math.max(0, Math.min(Math.floor(lowest / step + 1e-9), last - 1));
  return { low: first * step, high: last * step, ticks: Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step) };
}

function tickText(value: number): string {
  if (value < 1e-9) return '0';
  return value > 1 - 1e-9 ? '1.0' : value.toFixed(2).slice(1).replace(/0$/, '');
}
