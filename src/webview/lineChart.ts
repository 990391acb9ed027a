// A line chart with a fixed frame: title and readout above, a canvas of a fixed height below. The readout is legend and tooltip in one: it always
// shows the values at the cursor, which is the last epoch until the pointer or a key moves it. The chart is made once; new data go into it.
import { Chart, LinearScale, LineController, LineElement, PointElement, type ChartDataset, type Plugin } from 'chart.js';
import { MISSING } from '../metrics/format.js';
import { axisTicks, epochRange, epochTicks, type Axis } from './axes.js';
import { h, setChildren, setText } from './dom.js';
import { paintMark, swatch, type Mark } from './marks.js';
import { readPalette, type LineTone, type Palette } from './theme.js';
import { t } from './words.js';

Chart.register(LineController, LineElement, PointElement, LinearScale);

export interface Series {
  /** Stable from update to update. */
  readonly id: string;
  readonly label: string;
  readonly tone: LineTone;
  readonly dash?: readonly number[] | undefined;
  readonly width?: number;
  /** Values of epoch 1, 2, …. */
  readonly values: readonly number[];
  readonly mark?: Mark;
  /** Epoch (from 1) that carries the mark; a mark that is not solid stands on a few other epochs too, so that the curve is known by it. */
  readonly markAt?: number | undefined;
  readonly hidden?: boolean;
  /** The run goes on: the last piece of the curve is dashed. */
  readonly open?: boolean;
}

export interface ChartContent {
  readonly series: readonly Series[];
  readonly epochs: number;
  readonly axis: Axis;
  /** A vertical line at an epoch; with an accuracy and its interval also a band, a whisker and the words. */
  readonly best?: { readonly epoch: number; readonly tone: LineTone; readonly mark: Mark; readonly value?: number; readonly interval?: readonly [number, number]; readonly words?: readonly [string, string] } | undefined;
  readonly baseline?: { readonly value: number; readonly label: string } | undefined;
  /** The result in words, for screen readers. */
  readonly summary: string;
}

export interface LineChartOptions {
  readonly title: string;
  readonly format: (value: number) => string;
  readonly tick: (value: number, step: number) => string;
}

interface Point { x: number; y: number }

const EMPTY: ChartContent = { series: [], epochs: 1, axis: { min: 0, max: 1, step: 0.2 }, summary: '' };

/** Above the plot: room for the word `best` and for marks at the upper edge. */
const TOP_PADDING = 14;

export class LineChart {
  readonly element: HTMLElement;
  private readonly canvas = h('canvas', { role: 'img' });
  private readonly readout = h('div', { class: 'readout' });
  private readonly epochText = h('span', { class: 'readout-epoch' });
  private readonly live = h('span', { class: 'sr', 'aria-live': 'polite' });
  private readonly chart: Chart<'line', Point[]>;
  private values = new Map<string, HTMLElement>();
  private content = EMPTY;
  private palette: Palette = readPalette();
  private emphasised: string | undefined;
  /** Charts side by side: they share the cursor. Holds this chart too. */
  private peers: readonly LineChart[] = [this];
  /** Epoch from 1, or undefined: the last one, live. */
  private cursor: number | undefined;

  constructor(private readonly options: LineChartOptions) {
    const frame = h('div', { class: 'chart-frame', tabindex: 0, role: 'group', 'aria-label': t('{0}: arrow keys move the epoch cursor', options.title) }, this.canvas);
    this.element = h('section', { class: 'chart' }, h('div', { class: 'chart-head' }, h('h2', {}, options.title), this.readout), frame, this.live);
    this.chart = this.createChart();
    frame.addEventListener('pointermove', (event) => this.moveAll(Math.round(this.chart.scales['x']?.getValueForPixel(event.offsetX) ?? 1)));
    frame.addEventListener('pointerleave', () => this.moveAll(undefined));
    frame.addEventListener('keydown', (event) => this.onKey(event));
  }

  /** Charts that stand side by side follow each other's cursor. */
  static link(...charts: readonly LineChart[]): void {
    for (const chart of charts) chart.peers = charts;
  }

  update(content: ChartContent): void {
    const epochsChanged = content.epochs !== this.content.epochs;
    this.content = content;
    if (epochsChanged || (this.cursor !== undefined && this.cursor > this.lastEpoch())) this.cursor = undefined;
    const { series, epochs, axis } = content;
    this.canvas.setAttribute('aria-label', `${this.options.title}. ${content.summary}`);
    Object.assign(this.canvas.dataset, { yMin: String(axis.min), yMax: String(axis.max), epochs: String(epochs) });

    const known = new Map(this.chart.data.datasets.map((dataset) => [dataset.label, dataset]));
    this.chart.data.datasets = series.map((one) => this.fillDataset(known.get(one.id) ?? { label: one.id, data: [] }, one));
    const [left, right] = epochRange(epochs);
    const { x, y } = this.chart.options.scales ?? {};
    if (x) [x.min, x.max] = [left, right];
    if (y) [y.min, y.max] = [axis.min, axis.max];
    this.chart.update('none');
    this.showReadout();
  }

  /** Thickens one curve and fades the others; undefined: all alike. */
  emphasise(id: string | undefined): void {
    if (this.emphasised === id) return;
    this.emphasised = id;
    this.update(this.content);
  }

  refreshColours(): void {
    this.palette = readPalette();
    const border = this.chart.options.scales?.['x']?.border;
    if (border) border.color = this.palette.axis;
    this.update(this.content);
  }

  private lastEpoch(): number {
    return this.content.series.reduce((most, one) => Math.max(most, one.values.length), 0);
  }

  private moveAll(epoch: number | undefined): void {
    for (const peer of this.peers) peer.moveTo(epoch);
  }

  private moveTo(epoch: number | undefined): void {
    const last = this.lastEpoch();
    const next = epoch === undefined || last === 0 ? undefined : Math.min(Math.max(epoch, 1), last);
    if (next === this.cursor) return;
    this.cursor = next;
    this.showReadout();
    this.chart.draw();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.cursor ?? this.lastEpoch();
    const best = this.content.best?.epoch ?? this.content.series.find((one) => !one.hidden)?.markAt;
    const targets: Readonly<Record<string, number | undefined>> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 1, End: this.lastEpoch(), b: best, Escape: undefined };
    if (!(event.key in targets) || (event.key === 'b' && best === undefined)) return;
    event.preventDefault();
    this.moveAll(targets[event.key]);
    const shown = this.content.series.filter((one) => !one.hidden).map((one) => t('{0} {1}', one.label, this.values.get(one.id)?.textContent ?? ''));
    this.live.textContent = this.lastEpoch() === 0 ? t('No epoch yet') : t('Epoch {0}: {1}', this.cursor ?? this.lastEpoch(), shown.join(', '));
  }

  private showReadout(): void {
    const { series } = this.content;
    const key = JSON.stringify(series.map(({ id, label, tone, dash, mark }) => [id, label, tone, dash, mark]));
    setChildren(this.readout, key, () => {
      this.values = new Map(series.map((one) => [one.id, h('span', { class: 'readout-value' })]));
      const items = series.map((one) => h('span', { class: 'readout-item' }, swatch(one), h('span', { class: 'readout-label' }, one.label), this.values.get(one.id)));
      return [...items, this.epochText];
    });
    const at = this.cursor ?? this.lastEpoch();
    for (const one of series) {
      const value = one.values[at - 1];
      const element = this.values.get(one.id);
      if (element) setText(element, value === undefined || one.hidden ? MISSING : this.options.format(value));
    }
    setText(this.epochText, at === 0 ? '' : t('epoch {0}', at));
  }

  private colour(tone: LineTone): string {
    return this.palette[tone];
  }

  private fillDataset(dataset: ChartDataset<'line', Point[]>, one: Series): ChartDataset<'line', Point[]> {
    const points = one.values.map((y, index) => ({ x: index + 1, y }));
    const faded = this.emphasised !== undefined && this.emphasised !== one.id;
    const colour = this.colour(one.tone);
    return Object.assign(dataset, {
      data: points,
      hidden: one.hidden ?? false,
      borderColor: faded ? `color-mix(in srgb, ${colour} 35%, transparent)` : colour,
      borderDash: [...(one.dash ?? [])],
      borderWidth: this.emphasised === one.id ? 3.5 : one.width ?? 2,
      order: one.tone === 'train' ? 1 : 0,
      segment: { borderDash: ({ p1DataIndex }: { p1DataIndex: number }) => (one.open && p1DataIndex === points.length - 1 ? [3, 3] : undefined) },
    });
  }

  private createChart(): Chart<'line', Point[]> {
    // Colours are functions: the theme may change under the chart.
    const muted = () => this.palette.muted;
    const font = () => ({ family: this.palette.fontFamily, size: 11 });
    return new Chart<'line', Point[]>(this.canvas, {
      type: 'line',
      data: { datasets: [] },
      options: {
        animation: false,
        parsing: false,
        normalized: true,
        responsive: true,
        maintainAspectRatio: false,
        events: [],
        layout: { padding: { top: TOP_PADDING, right: 6 } },
        // Curves are not clipped at the plot's edge; a single point shows as a dot.
        datasets: { line: { clip: false, tension: 0, pointRadius: (point) => (point.dataset.data.length === 1 ? 2.5 : 0), pointHoverRadius: 0 } },
        scales: {
          x: {
            type: 'linear',
            grid: { display: false },
            border: { color: this.palette.axis }, // no function here: see refreshColours
            afterBuildTicks: (axis) => { axis.ticks = epochTicks(this.content.epochs).map((value) => ({ value })); },
            ticks: { color: muted, font, maxRotation: 0, autoSkip: false, padding: 4, align: 'inner', callback: (value) => (value === this.content.epochs ? t('epoch {0}', value) : String(value)) },
          },
          y: {
            border: { display: false },
            grid: { color: () => this.palette.grid, drawTicks: false },
            afterBuildTicks: (axis) => { axis.ticks = axisTicks(this.content.axis).map((value) => ({ value })); },
            ticks: { color: muted, font, autoSkip: false, padding: 8, callback: (value) => this.options.tick(Number(value), this.content.axis.step) },
          },
        },
      },
      plugins: [this.marksPlugin()],
    });
  }

  /** What chart.js doesn't draw: the best epoch with its interval, the baseline, marks, the cursor. */
  private marksPlugin(): Plugin<'line'> {
    return {
      id: 'thawMarks',
      beforeDatasetsDraw: (chart) => {
        chart.ctx.save();
        this.paintBand(chart);
        this.paintBaseline(chart);
        this.paintBestEpoch(chart);
        chart.ctx.restore();
      },
      afterDatasetsDraw: (chart) => {
        chart.ctx.save();
        this.paintMarks(chart);
        this.paintBest(chart);
        this.paintCursor(chart);
        chart.ctx.restore();
      },
    };
  }

  private paintBand({ ctx, chartArea: area, scales }: Chart): void {
    const { best } = this.content;
    const y = scales['y'];
    if (!best?.interval || !y) return;
    const [low, high] = best.interval;
    const top = Math.max(area.top, y.getPixelForValue(high));
    const bottom = Math.min(area.bottom, y.getPixelForValue(low));
    ctx.fillStyle = this.colour(best.tone);
    ctx.globalAlpha = this.palette.kind === 'light' ? 0.09 : 0.11;
    ctx.fillRect(area.left, top, area.right - area.left, bottom - top);
    ctx.globalAlpha = 1;
    if (this.palette.kind !== 'high-contrast') return;
    ctx.strokeStyle = this.colour(best.tone); // A tint is too faint there: its edges are drawn.
    ctx.setLineDash([1, 3]);
    for (const at of [top, bottom]) strokeLine(ctx, area.left, Math.round(at) + 0.5, area.right, Math.round(at) + 0.5);
    ctx.setLineDash([]);
  }

  private paintBaseline({ ctx, chartArea: area, scales }: Chart): void {
    const { baseline, axis } = this.content;
    const y = scales['y'];
    if (!baseline || !y || baseline.value < axis.min || baseline.value > axis.max) return;
    const at = Math.round(y.getPixelForValue(baseline.value)) + 0.5;
    ctx.strokeStyle = this.palette.foreground;
    ctx.globalAlpha = 0.55;
    ctx.setLineDash([1, 3]);
    strokeLine(ctx, area.left, at, area.right, at);
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.fillStyle = this.palette.muted;
    ctx.font = `11px ${this.palette.fontFamily}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'bottom';
    ctx.fillText(baseline.label, area.right, at - 3);
  }

  /** A chart without an interval of its own marks the epoch only. */
  private paintBestEpoch({ ctx, chartArea: area, scales }: Chart): void {
    const { best } = this.content;
    const x = scales['x'];
    if (!best || best.interval || !x) return;
    const at = Math.round(x.getPixelForValue(best.epoch)) + 0.5;
    ctx.strokeStyle = this.palette.foreground;
    ctx.globalAlpha = 0.45;
    ctx.setLineDash([2, 3]);
    strokeLine(ctx, at, area.top, at, area.bottom);
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.fillStyle = this.palette.muted;
    ctx.font = `11px ${this.palette.fontFamily}`;
    ctx.textAlign = 'center';
    ctx.textBaseline = 'top';
    ctx.fillText(t('best'), Math.min(at, area.right - 8), area.top - TOP_PADDING);
  }

  private paintMarks({ ctx, scales }: Chart): void {
    const { x, y } = scales;
    if (!x || !y) return;
    const every = Math.max(1, Math.round(this.content.epochs / 5));
    for (const { mark, markAt, values, hidden, tone } of this.content.series) {
      if (!mark || hidden) continue;
      const repeated = mark.fill === 'solid' ? [] : values.map((_, index) => index + 1).filter((epoch) => (epoch - 1) % every === 0 && epoch !== markAt);
      for (const epoch of markAt === undefined ? repeated : [...repeated, markAt]) {
        const value = values[epoch - 1];
        if (value === undefined) continue;
        paintMark(ctx, mark, x.getPixelForValue(epoch), y.getPixelForValue(value), epoch === markAt ? 5 : 3.5, this.colour(tone), this.palette.background);
      }
    }
  }

  private paintBest({ ctx, chartArea: area, scales }: Chart): void {
    const { best } = this.content;
    const { x, y } = scales;
    if (!best?.interval || best.value === undefined || !x || !y) return;
    const { foreground, background, muted, fontFamily } = this.palette;
    const at = Math.round(x.getPixelForValue(best.epoch)) + 0.5;
    const top = Math.round(y.getPixelForValue(best.interval[1])) + 0.5;
    const bottom = Math.round(Math.min(area.bottom, y.getPixelForValue(best.interval[0]))) + 0.5;
    ctx.strokeStyle = foreground;
    ctx.lineWidth = 1.25;
    strokeLine(ctx, at, top, at, bottom);
    strokeLine(ctx, at - 4, top, at + 4, top);
    strokeLine(ctx, at - 4, bottom, at + 4, bottom);
    paintMark(ctx, best.mark, at, y.getPixelForValue(best.value), 5, this.colour(best.tone), background);
    if (!best.words) return;
    // The words: under the whisker; beside it while the best epoch is an early one, since curves rise from the left; above where there is no room.
    const [result, doubt] = best.words;
    const early = best.epoch <= x.max / 2;
    const left = early ? at + 10 : Math.min(at, area.right - 36);
    const line = bottom + 38 > area.bottom ? Math.max(area.top, top - 38) : bottom + 6;
    ctx.globalAlpha = 0.86;
    ctx.fillStyle = background; // A plate, for when a curve passes behind them.
    ctx.fillRect(early ? left - 3 : left - 36, line - 2, 76, 31);
    ctx.globalAlpha = 1;
    ctx.textAlign = early ? 'left' : 'center';
    ctx.textBaseline = 'top';
    ctx.font = `600 12px ${fontFamily}`;
    ctx.fillStyle = foreground;
    ctx.fillText(result, left, line);
    ctx.font = `11px ${fontFamily}`;
    ctx.fillStyle = muted;
    ctx.fillText(doubt, left, line + 15);
  }

  private paintCursor({ ctx, chartArea: area, scales }: Chart): void {
    const { x, y } = scales;
    if (this.cursor === undefined || !x || !y) return;
    const at = Math.round(x.getPixelForValue(this.cursor)) + 0.5;
    ctx.strokeStyle = this.palette.focus;
    ctx.lineWidth = this.palette.kind === 'high-contrast' ? 2 : 1;
    strokeLine(ctx, at, area.top, at, area.bottom);
    for (const { tone, values, hidden } of this.content.series) {
      const value = values[this.cursor - 1];
      if (value === undefined || hidden) continue;
      paintMark(ctx, { shape: 'circle', fill: 'solid' }, at, y.getPixelForValue(value), 3.5, this.colour(tone), this.palette.background);
    }
  }
}

function strokeLine(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
