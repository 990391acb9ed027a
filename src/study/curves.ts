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
    const shown = ended.length > 0 ? ended : all.slice(-1);
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

/** The curves as an SVG drawing whose classes name strategy and colour; `label` is markup already. */
export function curvesSvg(series: readonly StudyCurveSeries[], label: string): string {
  const { low, high, ticks } = curveAxis(series.flatMap(({ values }) => values));
  // Freeze counts epochs of the last layer, finetune those of all layers: each curve has the whole width.
  const x = (epoch: number, epochs: number): number => LEFT + (epochs <= 1 ? 0.5 : epoch / (epochs - 1)) * (WIDTH - LEFT - 6);
  const y = (value: number): number => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const grid = ticks.map((tick) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - 6}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/><text x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${tickText(tick)}</text>`).join('');
  const lines = series.map(({ strategy, colour, epochs, values }) => {
    const points = values.map((value, epoch) => `${x(epoch, epochs).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    const classes = `${strategy}${colour === 'gray' ? ' gray' : ''}`;
    return values.length === 1 ? `<circle class="${classes}" cx="${points.split(',')[0] ?? ''}" cy="${points.split(',')[1] ?? ''}" r="2.5"/>` : `<polyline class="${classes}" points="${points}"/>`;
  }).join('');
  const axis = `<line class="axis" x1="${LEFT}" x2="${WIDTH - 6}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/><text x="${LEFT}" y="${HEIGHT - 4}">1</text><text x="${WIDTH - 6}" y="${HEIGHT - 4}" text-anchor="end">${Math.max(1, ...series.map(({ epochs }) => epochs))}</text>`;
  return `<svg role="img" aria-label="${label}" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}">${grid}${axis}${lines}</svg>`;
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
