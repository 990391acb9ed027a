// What the Run tab says about a snapshot, as plain data: no DOM, no clock of its own.
import {
  formatAccuracy, formatBytes, formatClock, formatCount, formatInterval, formatLoss, formatParameters, formatShare, formatSpeed, MISSING,
} from '../metrics/format.js';
import type { BackboneName, RunData, RunRecord, RunResult, Strategy } from '../protocol/run.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { strategyName } from '../runs/strategyName.js';
import type { Tone } from './dom.js';
import type { IconName } from './icons.js';
import { recorded, t, WORDS } from './words.js';

const BACKBONE_TITLES: Readonly<Record<BackboneName, string>> = {
  efficientnet_lite0: 'EfficientNet-Lite0', efficientnet_lite1: 'EfficientNet-Lite1', efficientnet_lite2: 'EfficientNet-Lite2',
  mobilenet_v2: 'MobileNetV2', resnet18: 'ResNet18', resnet34: 'ResNet34', resnet50: 'ResNet50', squeezenet1_1: 'SqueezeNet 1.1',
};

function stateLook(state: RunSnapshot['state']): { icon: IconName; tone: Tone; word: string } {
  switch (state) {
    case 'waiting': return { icon: 'clock', tone: 'warn', word: t('Waiting') };
    case 'starting': return { icon: 'loading', tone: 'run', word: t('Starting') };
    case 'running': return { icon: 'loading', tone: 'run', word: t('Running') };
    case 'interrupted': return { icon: 'warning', tone: 'warn', word: t('Interrupted') };
    case 'failed': return { icon: 'error', tone: 'bad', word: t('Failed') };
    case 'finished': return { icon: 'pass', tone: 'good', word: t('Finished') };
    case 'stopped': return { icon: 'circle-slash', tone: 'quiet', word: t('Stopped') };
  }
}

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
  /** The strategy, and `gray` where the images were. */
  readonly strategyName: string;
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

/** The network, and the person's own weights where it started from such. */
export function networkTitle({ backbone, weights }: Pick<RunRecord['configuration'], 'backbone' | 'weights'>): string {
  const title = BACKBONE_TITLES[backbone];
  return weights === undefined ? title : `${title} (${weights})`;
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
  return { accuracy, label: t('always {0} {1}', shortened(name, 24), formatAccuracy(accuracy)) };
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

function progressMessage(run: RunSnapshot, options: RunViewOptions): string {
  const { record, phase, step, epochs, state } = run;
  const done = epochs.length;
  const kept = record.result ? `. ${t('The weights of epoch {0} were kept', record.result.bestEpoch)}` : '';
  if (options.stopping && isLive(state)) return t('Stopping at the next batch');
  if (options.note) return options.note;
  switch (state) {
    case 'finished': return `${t('Finished')}${kept}`;
    case 'stopped': return done === 0 ? t('Stopped before the first epoch ended') : `${t('Stopped after epoch {0}', done)}${kept}`;
    case 'failed': return record.failure ? sentences(recorded(record.failure.message), recorded(record.failure.next)) : t('Failed; the log says more');
    case 'interrupted': return done === 0 ? t('The trainer stopped before the first epoch ended') : t('The trainer stopped after epoch {0} without finishing', done);
    case 'waiting': return recorded(phase?.message ?? '') || t('Waiting for the device');
    case 'starting':
    case 'running': {
      const total = record.configuration.recipe.epochs;
      if (step && (!phase || step.time >= phase.time)) return t('Epoch {0} of {1}, step {2} of {3}', step.epoch, total, step.step, step.steps);
      if (phase && (phase.phase !== 'training' || done === 0)) return recorded(phase.message);
      return state === 'starting' ? t('Starting the trainer') : t('Epoch {0} of {1}', Math.min(done + 1, total), total);
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

function layersOf(strategy: Strategy): string {
  switch (strategy) {
    case 'freeze': return t('last layer');
    case 'finetune': return t('all layers');
    case 'scratch': return t('all layers from a random start');
  }
}

function facts(run: RunSnapshot): string[] {
  const { configuration, data, result } = run.record;
  const layers = layersOf(configuration.strategy);
  const listed = (...parts: readonly (string | false)[]) => parts.filter((part) => part !== false).join(', ');
  return [
    listed(networkTitle(configuration), layers, result !== undefined && t('{0} params', formatParameters(result.parameters.total))),
    ...(data ? [listed(
      t('{0} train', formatCount(data.train)), t('{0} val', formatCount(data.validation)), data.test > 0 && t('{0} test', formatCount(data.test)),
      data.classes.length === 1 ? t('1 class') : t('{0} classes', formatCount(data.classes.length)),
    )] : []),
    ...(configuration.recipe.name === 'default' ? [] : [t('recipe {0}', shortened(configuration.recipe.name, 32))]),
    listed(t('seed {0}', configuration.seed), data?.layout === 'split' && t('split seed {0}', configuration.splitSeed)),
    ...(data && data.leftOutCount > 0 ? [data.leftOutCount === 1 ? t('1 image left out') : t('{0} images left out', formatCount(data.leftOutCount))] : []),
  ];
}

function headline(run: RunSnapshot, best: Best | undefined): RunView['headline'] {
  const { result, data } = run.record;
  if (result) {
    const baseline = majorityBaseline(data, result.accuracySplit);
    const onTest = result.accuracySplit === 'test';
    return {
      label: onTest ? t('Test accuracy') : t('Best val accuracy'), value: formatAccuracy(result.accuracy), unit: formatInterval(result.interval),
      detail: onTest ? t('{0} of {1} right, weights of epoch {2}', formatCount(result.correct), formatCount(result.total), result.bestEpoch)
        : t('{0} of {1} right, epoch {2}', formatCount(result.correct), formatCount(result.total), result.bestEpoch),
      accuracy: result.accuracy, interval: result.interval, ...(baseline && { baseline }),
    };
  }
  const epoch = best && run.epochs[best.epoch - 1];
  if (!best || !epoch) return { label: t('Best val accuracy'), value: MISSING, unit: '', detail: isLive(run.state) ? t('after the first epoch') : t('no epoch ended') };
  const baseline = majorityBaseline(data, 'validation');
  return {
    label: t('Best val accuracy'), value: formatAccuracy(best.accuracy), unit: formatInterval(best.interval),
    detail: t('{0} of {1} right, epoch {2}', formatCount(epoch.validation.correct), formatCount(epoch.validation.total), best.epoch),
    accuracy: best.accuracy, interval: best.interval, ...(baseline && { baseline }),
  };
}

function speedOf(measured: RunResult['imagesPerSecondOf']): string {
  switch (measured) {
    case 'training': return t('training, whole run');
    case 'features': return t('backbone, once per image');
    case 'cached features': return t('last layer, features cached');
  }
}

function throughput(run: RunSnapshot): Tile {
  const { result, configuration } = run.record;
  const label = t('Throughput');
  const speed = result?.imagesPerSecond ?? run.epochs.at(-1)?.imagesPerSecond;
  const ofEpochs = configuration.recipe.body === undefined ? t('last layer, per epoch') : t('training, per epoch');
  const detail = result ? speedOf(result.imagesPerSecondOf) : ofEpochs;
  return speed === undefined ? { label, value: MISSING, unit: 'img/s', detail } : { label, ...splitUnit(formatSpeed(speed)), detail };
}

/** On a GPU its memory and how busy it is, where it was sampled; else the trainer's own memory. */
function memory(run: RunSnapshot): Tile {
  if (run.gpu) {
    const { last, peakBytes, meanUtilization } = run.gpu;
    const whole = t('of {0}', formatBytes(last.totalBytes));
    if (isLive(run.state)) {
      const busy = last.utilization === undefined ? whole : t('{0}, {1} busy', whole, formatShare(last.utilization));
      return { label: t('GPU memory'), ...splitUnit(formatBytes(last.usedBytes)), detail: busy };
    }
    const busy = meanUtilization === undefined ? whole : t('{0}, on average {1} busy', whole, formatShare(meanUtilization));
    return { label: t('Peak GPU memory'), ...splitUnit(formatBytes(peakBytes)), detail: busy };
  }
  const { result, environment } = run.record;
  const label = t('Peak memory');
  const bytes = result?.peakMemoryBytes ?? (run.epochs.length > 0 ? Math.max(...run.epochs.map((epoch) => epoch.memoryBytes)) : undefined);
  if (bytes === undefined) return { label, value: MISSING, unit: 'GiB', detail: t('not measured yet') };
  // The figure is the trainer's resident memory: only on a CPU is it a part of the device's own.
  const device = environment?.device;
  const whole = device?.kind === 'cpu' && device.memoryBytes ? t('of {0}', formatBytes(device.memoryBytes)) : t('main memory, trainer');
  return { label, ...splitUnit(formatBytes(bytes)), detail: whole };
}

function logLine(run: RunSnapshot, timeOfDay: (time: number) => string): string {
  const last = run.epochs.at(-1);
  if (run.phase && (!last || run.phase.time > last.time)) return `${timeOfDay(run.phase.time)}  ${recorded(run.phase.message)}`;
  if (!last) return t('No line yet');
  const { train, validation } = last;
  const numbers = [last.epoch, formatAccuracy(validation.accuracy), formatAccuracy(train.accuracy), formatLoss(validation.loss), last.seconds.toFixed(1)] as const;
  return `${timeOfDay(last.time)}  ${t('epoch {0}  val {1}  train {2}  loss {3}  {4} s', ...numbers)}`;
}

/** `0:27 elapsed` */
function elapsedText(seconds: number, state: RunSnapshot['state']): string {
  return state === 'waiting' ? t('{0} waiting', formatClock(seconds)) : t('{0} elapsed', formatClock(seconds));
}

/** `about 0:10 left`, and `estimating` while it isn't known: before the first epoch's end. */
function timeLeftText(seconds: number | undefined): string {
  return seconds === undefined || !(seconds >= 0) ? t('estimating') : t('about {0} left', formatClock(seconds));
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
  const bestWords = best && t('Best val accuracy {0}, 95% interval {1}, at epoch {2}.', formatAccuracy(best.accuracy), formatInterval(best.interval), best.epoch);
  return {
    live,
    title: record.dataset.name,
    strategy: record.configuration.strategy,
    strategyName: strategyName(record.configuration, WORDS),
    state: stateLook(state),
    device: device === undefined ? t('device not known yet') : recorded(device.name),
    deviceReason: recorded(device?.reason ?? ''),
    facts: facts(run),
    ...progressShare(run),
    epochsDone: epochs.length,
    epochs: total,
    message: progressMessage(run, options),
    elapsed: elapsed === undefined ? '' : elapsedText(live ? Math.floor(elapsed) : elapsed, state),
    left: state === 'waiting' || !live || (left === undefined && epochs.length > 0) ? '' : timeLeftText(left),
    speed: live && speed !== undefined ? formatSpeed(speed) : '',
    headline: headline(run, best),
    epochTile: { label: t('Epoch'), value: String(shownEpoch), unit: `/ ${total}`, detail: last ? t('last val {0}', formatAccuracy(last.validation.accuracy)) : t('not begun') },
    throughput: throughput(run),
    memory: memory(run),
    ...(best && { best }),
    ...(baseline && { baseline }),
    log: logLine(run, options.timeOfDay),
    accuracySummary: bestWords && last
      ? `${bestWords} ${t('Last epoch: val {0}, train {1}.', formatAccuracy(last.validation.accuracy), formatAccuracy(last.train.accuracy))}` : t('No epoch yet.'),
    lossSummary: last ? t('Last epoch: val {0}, train {1}.', formatLoss(last.validation.loss), formatLoss(last.train.loss)) : t('No epoch yet.'),
    announcement: last ? t('Epoch {0} of {1}: val {2}, train {3}', last.epoch, total, formatAccuracy(last.validation.accuracy), formatAccuracy(last.train.accuracy)) : '',
  };
}
