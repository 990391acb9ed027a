// The Run tab: one frame, built once, whose words and numbers change with each snapshot.
import { formatAccuracy, formatInterval, formatLoss } from '../metrics/format.js';
import type { OfferedStrategy } from '../protocol/messages.js';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';
import { accuracyAxis, accuracyTick, intervalAxis, lossAxis, lossTick, type Axis } from './axes.js';
import { button, h, icon, setChildren, setText, svg, type Child } from './dom.js';
import { isUnreadable } from './hostMessages.js';
import { drawInterval, drawScale } from './interval.js';
import { LineChart } from './lineChart.js';
import { markOf } from './marks.js';
import { runView, type RunView, type Tile } from './runView.js';
import { ValuesTable } from './valuesTable.js';
import { recorded, t } from './words.js';

export interface RunScreenActions {
  stop(directory: string): void;
  trainAgain(directory: string): void;
  train(strategy: OfferedStrategy): void;
  compare(directory: string): void;
  openLog(directory: string): void;
  valuesToggled(open: boolean): void;
}

export interface RunContent {
  readonly run: RunSnapshot | UnreadableRun | undefined;
  readonly note?: string | undefined;
  readonly cannotTrain?: string | undefined;
}

/** The sparkline's box, px. */
const SPARK = { width: 72, height: 20 };

class TileView {
  private readonly value = h('span', { class: 'kpi-number' });
  private readonly unit = h('span', { class: 'kpi-unit' });
  private readonly detail = h('span', { class: 'kpi-sub' });
  private readonly label = h('dt');
  readonly element: HTMLElement;

  constructor(extra?: HTMLElement, className = '') {
    this.element = h('div', { class: `kpi ${className}` }, this.label, h('dd', {}, h('span', { class: 'kpi-value' }, this.value, this.unit), extra, this.detail));
  }

  show(tile: Tile): void {
    setText(this.label, tile.label);
    setText(this.value, tile.value);
    setText(this.unit, tile.unit);
    setText(this.detail, tile.detail);
  }
}

export class RunScreen {
  readonly element = h('div', { class: 'page page-run', id: 'screen-run', role: 'tabpanel', 'aria-labelledby': 'tab-run' });
  private readonly blank = h('div', { class: 'empty' });
  private readonly name = h('bdi', { class: 'name' });
  private readonly strategy = h('span', { class: 'strategy' });
  private readonly stateIcon = h('span', { class: 'state-icon' });
  private readonly stateWord = h('span');
  private readonly actions = h('div', { class: 'actions' });
  private readonly meta = h('ul', { class: 'meta' });
  private readonly fill = h('div', { class: 'progress-fill' });
  private readonly ticks = h('div', { class: 'progress-ticks' });
  private readonly track = h('div', { class: 'progress-track', role: 'progressbar', 'aria-label': t('Training progress'), 'aria-valuemin': 0 }, this.fill, this.ticks);
  private readonly message = h('span', { class: 'progress-what' });
  private readonly elapsed = h('span', { class: 'progress-elapsed' });
  private readonly left = h('span', { class: 'progress-left' });
  private readonly speed = h('span', { class: 'progress-speed' });
  private readonly progress = h('div', { class: 'progress' }, this.track,
    h('div', { class: 'progress-row' }, this.message, h('span', { class: 'progress-time' }, this.elapsed, this.left, this.speed)));
  private readonly headlineScale = h('span', { class: 'kpi-scale' });
  private readonly spark = h('span', { class: 'spark', 'aria-hidden': 'true' });
  private readonly headline = new TileView(this.headlineScale, 'kpi-main');
  private readonly epochTile = new TileView();
  private readonly throughput = new TileView(this.spark);
  private readonly memory = new TileView();
  private readonly accuracy = new LineChart({ title: t('Accuracy'), format: formatAccuracy, tick: accuracyTick });
  private readonly loss = new LineChart({ title: t('Loss'), format: formatLoss, tick: lossTick });
  private readonly log = h('code');
  private readonly values: ValuesTable;
  private readonly leftOut = h('details', { class: 'values left-out', hidden: true });
  private readonly announcer = h('span', { class: 'sr', 'aria-live': 'polite' });
  private readonly frame: readonly HTMLElement[];

  private content: RunContent = { run: undefined };
  private directory: string | undefined;
  private accuracyRange: Axis | undefined;
  private lossRange: Axis | undefined;
  private announcedEpochs = 0;
  private stopping = false;

  constructor(private readonly callbacks: RunScreenActions, private readonly now: () => number, private readonly timeOfDay: (time: number) => string) {
    LineChart.link(this.accuracy, this.loss);
    this.values = new ValuesTable(t('Values by epoch'), (open) => this.callbacks.valuesToggled(open));
    const openLog = h('button', { type: 'button', class: 'link', 'data-action': 'openLog' }, t('Open log'));
    openLog.addEventListener('click', () => { if (this.directory !== undefined) this.callbacks.openLog(this.directory); });
    this.frame = [
      h('header', { class: 'head' },
        h('div', { class: 'head-row' }, h('h1', {}, this.name, this.strategy), h('span', { class: 'state', role: 'status' }, this.stateIcon, this.stateWord), this.actions),
        this.meta),
      this.progress,
      h('dl', { class: 'kpis' }, this.headline.element, this.epochTile.element, this.throughput.element, this.memory.element),
      h('div', { class: 'charts' }, this.accuracy.element, this.loss.element),
      h('div', { class: 'log' }, this.log, openLog),
      this.values.element,
      this.leftOut,
    ];
    this.element.append(this.blank, ...this.frame, this.announcer);
  }

  openValues(open: boolean): void {
    this.values.element.open = open;
  }

  refreshColours(): void {
    this.accuracy.refreshColours();
    this.loss.refreshColours();
  }

  /** Draws a snapshot; undefined: the empty state. */
  show(content: RunContent): void {
    this.content = content;
    const { run } = content;
    if (run?.directory !== this.directory) {
      this.directory = run?.directory;
      this.accuracyRange = undefined;
      this.lossRange = undefined;
      this.stopping = false;
      this.announcedEpochs = Number.POSITIVE_INFINITY;
    }
    const drawn = run && !isUnreadable(run);
    for (const part of this.frame) part.hidden = !drawn;
    this.blank.hidden = Boolean(drawn);
    if (!drawn) {
      this.showBlank(run, content);
      return;
    }
    const view = this.viewOf(run);
    if (!view.live) this.stopping = false;
    this.showHead(run, view);
    this.showProgress(view);
    this.showTiles(run, view);
    this.showCharts(run, view);
    setText(this.log, view.log);
    this.values.update([
      { id: 'validation.accuracy', label: t('val acc'), values: run.epochs.map((epoch) => epoch.validation.accuracy), format: formatAccuracy },
      { id: 'train.accuracy', label: t('train acc'), values: run.epochs.map((epoch) => epoch.train.accuracy), format: formatAccuracy },
      { id: 'validation.loss', label: t('val loss'), values: run.epochs.map((epoch) => epoch.validation.loss), format: formatLoss },
      { id: 'train.loss', label: t('train loss'), values: run.epochs.map((epoch) => epoch.train.loss), format: formatLoss },
    ]);
    this.showLeftOut(run);
    // One polite announcement an epoch; what was there when the run was opened is not read out.
    if (view.live && run.epochs.length > this.announcedEpochs) setText(this.announcer, view.announcement);
    this.announcedEpochs = run.epochs.length;
  }

  /** Every second while a run is live: the clock goes on between snapshots. */
  tick(): void {
    const { run } = this.content;
    if (!run || isUnreadable(run)) return;
    const view = this.viewOf(run);
    if (!view.live) return;
    setText(this.elapsed, view.elapsed);
    setText(this.left, view.left);
  }

  /** The run goes on though it was asked to stop: it can be asked again. */
  stopFailed(directory: string): void {
    if (directory !== this.directory) return;
    this.stopping = false;
    this.show(this.content);
  }

  private viewOf(run: RunSnapshot): RunView {
    return runView(run, { now: this.now(), note: this.content.note, stopping: this.stopping, timeOfDay: this.timeOfDay });
  }

  /** `note`: why the run that was to be shown isn't there. */
  private showBlank(run: UnreadableRun | undefined, { note, cannotTrain }: RunContent): void {
    setChildren(this.blank, JSON.stringify([run?.id, run?.reason, note, cannotTrain]), () => (run
      ? [icon('warning', 'warn'), h('h1', {}, h('bdi', { class: 'name' }, run.id)), h('p', {}, t('This run can’t be read.')), h('p', {}, recorded(run.reason))]
      : [icon('graph-line'), h('h1', {}, note ?? t('No run yet')),
        h('p', {}, t('Pick a folder with one subfolder per class. Freeze takes seconds and shows what the images can do; finetune takes longer and can go further.')),
        cannotTrain ? h('p', { class: 'cannot' }, cannotTrain) : h('div', { class: 'actions' },
          button(t('Train with freeze'), { look: 'primary', action: 'trainFreeze', onClick: () => this.callbacks.train('freeze') }),
          button(t('Train with finetune'), { action: 'trainFinetune', onClick: () => this.callbacks.train('finetune') }))]));
  }

  private showHead(run: RunSnapshot, view: RunView): void {
    setText(this.name, view.title);
    setText(this.strategy, view.strategyName);
    this.strategy.className = `strategy strategy-${view.strategy}`;
    setChildren(this.stateIcon, view.state.word, () => [icon(view.state.icon, view.state.tone)]);
    setText(this.stateWord, view.state.word);
    setChildren(this.meta, JSON.stringify([view.device, view.deviceReason, view.facts]), () => [
      h('li', {}, icon('chip'), view.deviceReason ? t('{0}: {1}', view.device, view.deviceReason) : view.device),
      ...view.facts.map((fact) => h('li', {}, fact)),
    ]);
    const focused = this.actions.contains(document.activeElement);
    setChildren(this.actions, JSON.stringify([run.directory, run.state, this.stopping, this.content.cannotTrain]), () => this.actionsOf(run, view));
    if (focused && !this.actions.contains(document.activeElement)) this.actions.querySelector('button')?.focus();
  }

  private actionsOf(run: RunSnapshot, view: RunView): Child[] {
    if (view.live) {
      const stop = button(t('Stop'), { glyph: 'debug-stop', action: 'stop', onClick: () => this.onStop(run.directory) });
      if (this.stopping) stop.setAttribute('aria-disabled', 'true'); // not `disabled`: it would lose the focus
      return [stop];
    }
    if (run.state === 'finished') return [button(t('Compare'), { action: 'compare', onClick: () => this.callbacks.compare(run.directory) })];
    if (this.content.cannotTrain) return [h('span', { class: 'muted cannot' }, this.content.cannotTrain)];
    const look = run.state === 'stopped' ? 'secondary' : 'primary';
    return [button(t('Train again'), { look, action: 'trainAgain', onClick: () => this.callbacks.trainAgain(run.directory) })];
  }

  private onStop(directory: string): void {
    if (this.stopping) return;
    this.stopping = true;
    this.callbacks.stop(directory);
    this.show(this.content);
  }

  private showProgress(view: RunView): void {
    this.progress.className = `progress tone-${view.state.tone} of-${view.shareOf}`;
    this.fill.style.setProperty('--share', `${(view.share * 100).toFixed(1)}%`);
    this.track.setAttribute('aria-valuemax', String(view.shareOf === 'epochs' ? view.epochs : 100));
    this.track.setAttribute('aria-valuenow', String(view.shareOf === 'epochs' ? view.epochsDone : Math.round(view.share * 100)));
    this.track.setAttribute('aria-valuetext', view.message);
    // Past some sixty epochs the gaps would eat the bar.
    setChildren(this.ticks, String(view.epochs), () => (view.epochs > 60 ? []
      : Array.from({ length: view.epochs - 1 }, (_, index) => h('span', { class: 'progress-tick', '--at': `${((index + 1) / view.epochs) * 100}%` }))));
    setText(this.message, view.message);
    setText(this.elapsed, view.elapsed);
    setText(this.left, view.left);
    setText(this.speed, view.speed);
  }

  private showTiles(run: RunSnapshot, view: RunView): void {
    this.headline.show(view.headline);
    this.epochTile.show(view.epochTile);
    this.throughput.show(view.throughput);
    this.memory.show(view.memory);
    const { accuracy, interval, baseline } = view.headline;
    setChildren(this.headlineScale, JSON.stringify([accuracy, interval, baseline]), () => {
      if (accuracy === undefined || !interval) return [];
      const axis = intervalAxis([0.5, interval[0], ...(baseline ? [baseline.accuracy] : [])]);
      return [drawInterval({ value: accuracy, interval, axis, tone: view.strategy, mark: markOf(run.record.configuration), baseline: baseline?.accuracy }), drawScale(axis)];
    });
    const speeds = run.epochs.map((epoch) => epoch.imagesPerSecond);
    setChildren(this.spark, JSON.stringify([view.epochs, speeds]), () => (speeds.length < 2 ? [] : [sparkline(speeds, view.epochs)]));
  }

  private showCharts(run: RunSnapshot, view: RunView): void {
    const { epochs } = run;
    const of = (split: 'validation' | 'train', measure: 'accuracy' | 'loss') => epochs.map((epoch) => epoch[split][measure]);
    const mark = markOf(run.record.configuration);
    const lines = (measure: 'accuracy' | 'loss') => [
      { id: 'val', label: t('val'), tone: view.strategy, values: of('validation', measure) },
      { id: 'train', label: t('train'), tone: 'train' as const, dash: [2, 3], width: 1.5, values: of('train', measure) },
    ];
    this.accuracyRange = accuracyAxis(this.accuracyRange, view.baseline?.accuracy, [...of('validation', 'accuracy'), ...of('train', 'accuracy'), ...(view.best ? [view.best.interval[0]] : [])]);
    this.lossRange = lossAxis(this.lossRange, run.record.data?.classes.length ?? 2, [...of('validation', 'loss'), ...of('train', 'loss')]);
    const { best, baseline } = view;
    this.accuracy.update({
      series: lines('accuracy'), epochs: view.epochs, axis: this.accuracyRange, summary: view.accuracySummary,
      baseline: baseline && { value: baseline.accuracy, label: baseline.label },
      best: best && {
        epoch: best.epoch, tone: view.strategy, mark, value: best.accuracy, interval: best.interval,
        words: [t('best {0}', formatAccuracy(best.accuracy)), formatInterval(best.interval)],
      },
    });
    this.loss.update({
      series: lines('loss'), epochs: view.epochs, axis: this.lossRange, summary: view.lossSummary,
      best: best && { epoch: best.epoch, tone: view.strategy, mark },
    });
  }

  /** Files that were left out, each with its reason, the dataset's warnings, and what of the run itself can't be read. */
  private showLeftOut(run: RunSnapshot): void {
    const { data } = run.record;
    const files = data?.leftOut ?? [];
    const warnings = data?.warnings ?? [];
    const count = data?.leftOutCount ?? 0;
    const { damagedLines } = run;
    this.leftOut.hidden = files.length + warnings.length + damagedLines === 0;
    setChildren(this.leftOut, JSON.stringify([files, warnings, count, damagedLines]), () => [
      h('summary', {}, count > 0 ? t('Left out, and why ({0})', count) : t('Warnings')),
      h('div', { class: 'values-scroll', tabindex: 0, role: 'region', 'aria-label': t('Left out, and why') },
        h('ul', { class: 'left-out-list' },
          damagedLines > 0 && h('li', {}, icon('warning', 'warn'), h('span', {}, damagedLines === 1 ? t('1 line of events.ndjson can\'t be read: the curves may lack an epoch') : t('{0} lines of events.ndjson can\'t be read: the curves may lack epochs', damagedLines))),
          ...warnings.map((warning) => h('li', {}, icon('warning', 'warn'), h('span', {}, recorded(warning)))),
          ...files.map((file) => h('li', {}, h('bdi', { class: 'path' }, file.path), h('span', { class: 'muted' }, recorded(file.reason)))),
          count > files.length && h('li', { class: 'muted' }, t('and {0} more', count - files.length)))),
    ]);
  }
}

function sparkline(speeds: readonly number[], epochs: number): SVGSVGElement {
  const most = Math.max(...speeds) * 1.08 || 1;
  const points = speeds.map((speed, index) => `${((index / Math.max(1, epochs - 1)) * SPARK.width).toFixed(1)},${(SPARK.height - (speed / most) * (SPARK.height - 1)).toFixed(1)}`);
  return svg('svg', { viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, 'aria-hidden': 'true' }, svg('polyline', { points: points.join(' ') }));
}
