// What the Run tab says about a snapshot, as plain data: no DOM, no clock of its own.
import {
  formatAccuracy, formatBytes, formatClock, formatCount, formatInterval, formatLoss, formatParameters, formatSpeed, formatTimeLeft, MISSING,
} from '../metrics/format.js';
import type { BackboneName, RunData, Strategy } from '../protocol/run.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import type { Tone } from './dom.js';
import type { IconName } from './icons.js';

const BACKBONE_TITLES: Readonly<Record<BackboneName, string>> = { efficientnet_lite0: 'EfficientNet-Lite0' };

const STATE_LOOKS: Readonly<Record<RunSnapshot['state'], { icon: IconName; tone: Tone; word: string }>> = {
  waiting: { icon: 'clock', tone: 'warn', word: 'Waiting' },
  starting: { icon: 'loading', tone: 'run', word: 'Starting' },
  running: { icon: 'loading', tone: 'run', word: 'Running' },
  interrupted: { icon: 'warning', tone: 'warn', word: 'Interrupted' },
  failed: { icon: 'error', tone: 'bad', word: 'Failed' },
  finished: { icon: 'pass', tone: 'good', word: 'Finished' },
  stopped: { icon: 'circle-slash', tone: 'quiet', word: 'Stopped' },
};

export interface RunViewOptions {
  /** Milliseconds since 1970, the host's clock. */
  readonly now: number;
  /** What the host has to add, shown instead of the progress message. */
  readonly note?: string | undefined;
  /** Stop was pressed and the trainer hasn't answered yet. */
  readonly stopping: boolean;
  /** Milliseconds since 1970 → `12:04:25` where the person is. */
  readonly timeOfDay: (time: number) => string;
}

export interface Best {
  /** From 1. */
  readonly epoch: number;
  readonly accuracy: number;
  readonly interval: readonly [number, number];
}

export interface Baseline {
  readonly accuracy: number;
  readonly label: string;
}

export interface Tile {
  readonly label: string;
  readonly value: string;
  readonly unit: string;
  readonly detail: string;
}

export interface RunView {
  readonly live: boolean;
  readonly title: string;
  readonly strategy: Strategy;
  readonly state: { readonly icon: IconName; readonly tone: Tone; readonly word: string };
  readonly device: string;
  /** Why no GPU is used, or empty. */
  readonly deviceReason: string;
  readonly facts: readonly string[];
  /** Of the bar, 0 to 1. */
  readonly share: number;
  /** The bar counts epochs, or the images of what comes before them. */
  readonly shareOf: 'epochs' | 'phase';
  readonly epochsDone: number;
  readonly epochs: number;
  readonly message: string;
  readonly elapsed: string;
  readonly left: string;
  readonly speed: string;
  readonly headline: Tile & { readonly accuracy?: number; readonly interval?: readonly [number, number]; readonly baseline?: Baseline };
  readonly epochTile: Tile;
  readonly throughput: Tile;
  readonly memory: Tile;
  readonly best?: Best;
  /** Of the validation images, which the chart shows. */
  readonly baseline?: Baseline;
  readonly log: string;
  /** What the canvases say to a screen reader. */
  readonly accuracySummary: string;
  readonly lossSummary: string;
  /** Spoken once an epoch. */
  readonly announcement: string;
}

export function backboneTitle(backbone: BackboneName): string {
  return BACKBONE_TITLES[backbone];
}

export function isLive(state: RunSnapshot['state']): boolean {
  return state === 'waiting' || state === 'starting' || state === 'running';
}

/** What always saying the largest class of a split would get: `always bees .542`. */
export function majorityBaseline(data: RunData | undefined, split: 'validation' | 'test'): Baseline | undefined {
  if (!data) return undefined;
  const counts = data.counts.map((count) => count[split]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(0, ...counts);
  const name = data.classes[counts.indexOf(most)];
  if (total === 0 || name === undefined) return undefined;
  const accuracy = most / total;
  return { accuracy, label: `always ${shortened(name, 24)} ${formatAccuracy(accuracy)}` };
}

/** Cuts a long name for a place of fixed width; the whole name stands elsewhere. */
export function shortened(name: string, longest: number): string {
  const letters = Array.from(name);
  return letters.length <= longest ? name : `${letters.slice(0, longest - 1).join('')}…`;
}

/**
 * Seconds until the last epoch ends, from the mean of the last five; undefined before the first epoch ended, after the last, and for a run
 * that isn't live.
 */
export function secondsLeft(run: RunSnapshot, now: number): number | undefined {
  const { epochs } = run;
  const last = epochs.at(-1);
  const remaining = run.record.configuration.recipe.epochs - epochs.length;
  if (!isLive(run.state) || !last || remaining <= 0) return undefined;
  const durations = epochs.map((epoch, index) => (index === 0 ? epoch.seconds : (epoch.time - (epochs[index - 1]?.time ?? epoch.time)) / 1000)).slice(-5);
  const mean = durations.reduce((sum, seconds) => sum + Math.max(0, seconds), 0) / durations.length;
  const begun = Math.min(mean, Math.max(0, (now - last.time) / 1000));
  return remaining * mean - begun;
}

/** Seconds of work so far: the result's own when there is one, else from the start to the end, the last sign of life, or now. */
export function secondsElapsed(run: RunSnapshot, now: number): number | undefined {
  const { record } = run;
  if (record.result) return record.result.seconds;
  const start = Date.parse(record.startedAt ?? (run.state === 'waiting' ? record.createdAt : ''));
  if (Number.isNaN(start)) return undefined;
  const end = isLive(run.state) ? now : record.endedAt ? Date.parse(record.endedAt) : run.lastEventAt ?? start;
  return Math.max(0, (end - start) / 1000);
}

/** `138 img/s` → `138` and `img/s`. */
function splitUnit(text: string): { value: string; unit: string } {
  const gap = text.lastIndexOf(' ');
  return gap < 0 ? { value: text, unit: '' } : { value: text.slice(0, gap), unit: text.slice(gap + 1) };
}

function sentences(first: string, second: string): string {
  const opening = /[.!?]$/.test(first) ? first : `${first}.`;
  return `${opening} ${second.replace(/\.$/, '')}`;
}

function counted(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

function progressMessage(run: RunSnapshot, options: RunViewOptions): string {
  const { record, phase, step, epochs, state } = run;
  const done = epochs.length;
  const kept = record.result ? `. The weights of epoch ${record.result.bestEpoch} were kept` : '';
  if (options.stopping && isLive(state)) return 'Stopping at the next batch';
  if (options.note) return options.note;
  switch (state) {
    case 'finished': return `Finished${kept}`;
    case 'stopped': return done === 0 ? 'Stopped before the first epoch ended' : `Stopped after epoch ${done}${kept}`;
    case 'failed': return record.failure ? sentences(record.failure.message, record.failure.next) : 'Failed; the log says more';
    case 'interrupted': return done === 0 ? 'The trainer stopped before the first epoch ended' : `The trainer stopped after epoch ${done} without finishing`;
    case 'waiting': return phase?.message || 'Waiting for the device';
    case 'starting':
    case 'running': {
      const total = record.configuration.recipe.epochs;
      if (step && (!phase || step.time >= phase.time)) return `Epoch ${step.epoch} of ${total}, step ${step.step} of ${step.steps}`;
      if (phase && (phase.phase !== 'training' || done === 0)) return phase.message;
      return state === 'starting' ? 'Starting the trainer' : `Epoch ${Math.min(done + 1, total)} of ${total}`;
    }
  }
}

/** Part of the epochs done, the running one included; before the first epoch the part of the images that the phase has seen. */
function progressShare(run: RunSnapshot): { share: number; shareOf: 'epochs' | 'phase' } {
  const { epochs, step, phase, state } = run;
  const total = run.record.configuration.recipe.epochs;
  const counts = phase?.phase === 'scanning' || phase?.phase === 'loading' || phase?.phase === 'features' || phase?.phase === 'head';
  if (isLive(state) && state !== 'waiting' && epochs.length === 0 && counts && phase.done !== undefined && phase.total) {
    if (!step || step.time < phase.time) return { share: Math.min(1, phase.done / phase.total), shareOf: 'phase' };
  }
  const within = isLive(state) && step && step.epoch > epochs.length && step.steps > 0 ? Math.min(1, step.step / step.steps) : 0;
  return { share: Math.min(1, (epochs.length + within) / total), shareOf: 'epochs' };
}

function facts(run: RunSnapshot): string[] {
  const { configuration, data, result } = run.record;
  const layers = configuration.strategy === 'freeze' ? 'last layer' : 'all layers';
  const parameters = result ? `, ${formatParameters(result.parameters.total)} params` : '';
  const test = data && data.test > 0 ? `, ${formatCount(data.test)} test` : '';
  const seed = data?.layout === 'split' ? `seed ${configuration.seed}, split seed ${configuration.splitSeed}` : `seed ${configuration.seed}`;
  return [
    `${backboneTitle(configuration.backbone)}, ${layers}${parameters}`,
    ...(data ? [`${formatCount(data.train)} train, ${formatCount(data.validation)} val${test}, ${counted(data.classes.length, 'class', 'classes')}`] : []),
    seed,
    ...(data && data.leftOutCount > 0 ? [`${counted(data.leftOutCount, 'image', 'images')} left out`] : []),
  ];
}

function headline(run: RunSnapshot, best: Best | undefined): RunView['headline'] {
  const { result, data } = run.record;
  if (result) {
    const baseline = majorityBaseline(data, result.accuracySplit);
    const onTest = result.accuracySplit === 'test';
    return {
      label: onTest ? 'Test accuracy' : 'Best val accuracy', value: formatAccuracy(result.accuracy), unit: formatInterval(result.interval),
      detail: `${formatCount(result.correct)} of ${formatCount(result.total)} right, ${onTest ? `weights of epoch ${result.bestEpoch}` : `epoch ${result.bestEpoch}`}`,
      accuracy: result.accuracy, interval: result.interval, ...(baseline && { baseline }),
    };
  }
  const epoch = best && run.epochs[best.epoch - 1];
  if (!best || !epoch) return { label: 'Best val accuracy', value: MISSING, unit: '', detail: isLive(run.state) ? 'after the first epoch' : 'no epoch ended' };
  const baseline = majorityBaseline(data, 'validation');
  return {
    label: 'Best val accuracy', value: formatAccuracy(best.accuracy), unit: formatInterval(best.interval),
    detail: `${formatCount(epoch.validation.correct)} of ${formatCount(epoch.validation.total)} right, epoch ${best.epoch}`,
    accuracy: best.accuracy, interval: best.interval, ...(baseline && { baseline }),
  };
}

const SPEED_OF = { training: 'training, whole run', features: 'backbone, once per image', 'cached features': 'last layer, features cached' } as const;

function throughput(run: RunSnapshot): Tile {
  const { result, configuration } = run.record;
  const label = 'Throughput';
  const speed = result?.imagesPerSecond ?? run.epochs.at(-1)?.imagesPerSecond;
  const ofEpochs = configuration.strategy === 'freeze' ? 'last layer, per epoch' : 'training, per epoch';
  const detail = result ? SPEED_OF[result.imagesPerSecondOf] : ofEpochs;
  return speed === undefined ? { label, value: MISSING, unit: 'img/s', detail } : { label, ...splitUnit(formatSpeed(speed)), detail };
}

function memory(run: RunSnapshot): Tile {
  const { result, environment } = run.record;
  const label = 'Peak memory';
  const bytes = result?.peakMemoryBytes ?? (run.epochs.length > 0 ? Math.max(...run.epochs.map((epoch) => epoch.memoryBytes)) : undefined);
  if (bytes === undefined) return { label, value: MISSING, unit: 'GiB', detail: 'not measured yet' };
  // The figure is the trainer's resident memory: only on a CPU is it a part of the device's own.
  const device = environment?.device;
  const whole = device?.kind === 'cpu' && device.memoryBytes ? `of ${formatBytes(device.memoryBytes)}` : 'main memory, trainer';
  return { label, ...splitUnit(formatBytes(bytes)), detail: whole };
}

function logLine(run: RunSnapshot, timeOfDay: (time: number) => string): string {
  const last = run.epochs.at(-1);
  if (run.phase && (!last || run.phase.time > last.time)) return `${timeOfDay(run.phase.time)}  ${run.phase.message}`;
  if (!last) return 'No line yet';
  const { train, validation } = last;
  return `${timeOfDay(last.time)}  epoch ${last.epoch}  val ${formatAccuracy(validation.accuracy)}  train ${formatAccuracy(train.accuracy)}  loss ${formatLoss(validation.loss)}  ${last.seconds.toFixed(1)} s`;
}

/** Everything that the Run tab says about a run, at one moment. */
export function runView(run: RunSnapshot, options: RunViewOptions): RunView {
  const { record, epochs, state } = run;
  const total = record.configuration.recipe.epochs;
  const last = epochs.at(-1);
  const bestEvent = run.best === undefined ? undefined : epochs[run.best];
  const best: Best | undefined = bestEvent && { epoch: bestEvent.epoch, accuracy: bestEvent.validation.accuracy, interval: bestEvent.interval };
  const baseline = majorityBaseline(record.data, 'validation');
  const live = isLive(state);
  const elapsed = secondsElapsed(run, options.now);
  const left = secondsLeft(run, options.now);
  const speed = run.step?.imagesPerSecond ?? last?.imagesPerSecond;
  const shownEpoch = live && epochs.length < total && (run.step || run.phase?.phase === 'training') ? epochs.length + 1 : epochs.length;
  const device = record.environment?.device;
  const bestWords = best && `Best val accuracy ${formatAccuracy(best.accuracy)}, 95% interval ${formatInterval(best.interval)}, at epoch ${best.epoch}.`;
  return {
    live,
    title: record.dataset.name,
    strategy: record.configuration.strategy,
    state: STATE_LOOKS[state],
    device: device?.name ?? 'device not known yet',
    deviceReason: device?.reason ?? '',
    facts: facts(run),
    ...progressShare(run),
    epochsDone: epochs.length,
    epochs: total,
    message: progressMessage(run, options),
    elapsed: elapsed === undefined ? '' : `${formatClock(live ? Math.floor(elapsed) : elapsed)} ${state === 'waiting' ? 'waiting' : 'elapsed'}`,
    left: state === 'waiting' || !live ? '' : left === undefined && epochs.length > 0 ? '' : formatTimeLeft(left),
    speed: live && speed !== undefined ? formatSpeed(speed) : '',
    headline: headline(run, best),
    epochTile: { label: 'Epoch', value: String(shownEpoch), unit: `/ ${total}`, detail: last ? `last val ${formatAccuracy(last.validation.accuracy)}` : 'not begun' },
    throughput: throughput(run),
    memory: memory(run),
    ...(best && { best }),
    ...(baseline && { baseline }),
    log: logLine(run, options.timeOfDay),
    accuracySummary: bestWords && last
      ? `${bestWords} Last epoch: val ${formatAccuracy(last.validation.accuracy)}, train ${formatAccuracy(last.train.accuracy)}.` : 'No epoch yet.',
    lossSummary: last ? `Last epoch: val ${formatLoss(last.validation.loss)}, train ${formatLoss(last.train.loss)}.` : 'No epoch yet.',
    announcement: last ? `Epoch ${last.epoch} of ${total}: val ${formatAccuracy(last.validation.accuracy)}, train ${formatAccuracy(last.train.accuracy)}` : '',
  };
}
