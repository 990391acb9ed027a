// What the trees, quick picks, the status bar and the notification say about a run: words and marks only, no `vscode`.
import { formatAccuracy, formatClock, formatInterval } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';
import { translateRecorded } from '../protocol/recordedText.js';
import type { RunState, Score } from '../protocol/run.js';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';
import { isLiveState } from '../runs/liveness.js';
import { isUnreadable } from '../runs/readRun.js';
import { strategyName } from '../runs/strategyName.js';
import { plainName, plainText, sentences } from './plainText.js';

/** A tree row. `icon` is a codicon, `colour` a theme colour. */
export interface RunRow {
  readonly label: string;
  readonly description: string;
  readonly icon: string;
  readonly colour?: string;
  readonly tooltip: string;
  readonly accessibleLabel: string;
  /** `run`, then `live` or `ended`, then `epochs` once there is something to compare, `model` once there are weights; menus look for these words. */
  readonly contextValue: string;
}

export type Run = RunSnapshot | UnreadableRun;

export function isReadable(run: Run): run is RunSnapshot {
  return !isUnreadable(run);
}

export type LiveRun = RunSnapshot & { readonly state: 'waiting' | 'starting' | 'running' };

/** A trainer works on it, or is to start. */
export function isLive(run: Run): run is LiveRun {
  return isReadable(run) && isLiveState(run.state);
}

const ICONS: Readonly<Record<RunState, { icon: string; colour?: string }>> = {
  waiting: { icon: 'clock' },
  starting: { icon: 'loading~spin' },
  running: { icon: 'loading~spin' },
  finished: { icon: 'pass', colour: 'testing.iconPassed' },
  stopped: { icon: 'circle-slash' },
  failed: { icon: 'error', colour: 'testing.iconFailed' },
  interrupted: { icon: 'warning', colour: 'editorWarning.foreground' },
};

export function stateWord(state: RunState, l10n: Localiser): string {
  switch (state) {
    case 'waiting': return l10n.t('waiting');
    case 'starting': return l10n.t('starting');
    case 'running': return l10n.t('running');
    case 'finished': return l10n.t('finished');
    case 'stopped': return l10n.t('stopped');
    case 'failed': return l10n.t('failed');
    case 'interrupted': return l10n.t('interrupted');
  }
}

/** `freeze on hymenoptera`, `freeze gray on hymenoptera` */
export function runTitle(run: RunSnapshot, l10n: Localiser): string {
  return l10n.t('{0} on {1}', strategyName(run.record.configuration, l10n), plainName(run.record.dataset.name));
}

/** The number that stands for the run so far: the result's, else the best epoch's on validation. */
export function headlineScore(run: RunSnapshot): Pick<Score, 'accuracy' | 'correct' | 'total' | 'interval'> | undefined {
  if (run.record.result !== undefined) return run.record.result;
  const best = run.best === undefined ? undefined : run.epochs[run.best];
  return best && { ...best.validation, interval: best.interval };
}

/** `epoch 12 of 15`, or what the trainer does before the first epoch; in the line: `waiting, 1 ahead`. Never an accuracy. */
export function progressText(run: RunSnapshot, l10n: Localiser): string {
  const { phase, step } = run;
  if (run.state === 'waiting' && phase?.phase !== 'scanning') { // the folder is looked at before the device is waited for
    const ahead = phase?.phase === 'waiting' ? phase.total : undefined;
    return ahead === undefined || ahead === 0 ? l10n.t('waiting') : l10n.t('waiting, {0} ahead', ahead);
  }
  const epoch = reachedEpoch(run);
  if (phase?.phase === 'finishing') return l10n.t('finishing');
  if (epoch > 0 || step !== undefined) return epochText(run, l10n);
  const counted = phase?.done !== undefined && phase.total !== undefined && phase.total > 0 ? { done: phase.done, total: phase.total } : undefined;
  switch (phase?.phase) {
    case 'scanning': return counted ? l10n.t('reading images, {0} of {1}', counted.done, counted.total) : l10n.t('reading the folder');
    case 'loading': return l10n.t('loading TensorFlow');
    case 'features': return counted ? l10n.t('features, {0} of {1}', counted.done, counted.total) : l10n.t('features');
    case 'head': return l10n.t('training the last layer');
    case 'training': return epochText(run, l10n);
    default: return l10n.t('starting');
  }
}

function reachedEpoch(run: RunSnapshot): number {
  return Math.max(run.step?.epoch ?? 0, run.epochs.length);
}

function epochText(run: RunSnapshot, l10n: Localiser): string {
  return l10n.t('epoch {0} of {1}', Math.max(1, reachedEpoch(run)), run.record.configuration.recipe.epochs);
}

/** `.954 (146/153)` */
function countedScore(score: Pick<Score, 'accuracy' | 'correct' | 'total'>): string {
  return `${formatAccuracy(score.accuracy)} (${score.correct}/${score.total})`;
}

/** `.954 [.909–.978], 146 of 153 right` */
export function scoreSentence(score: Pick<Score, 'accuracy' | 'correct' | 'total' | 'interval'>, l10n: Localiser): string {
  return l10n.t('{0} {1}, {2} of {3} right', formatAccuracy(score.accuracy), formatInterval(score.interval), score.correct, score.total);
}

/** The row of a run in the Runs view. */
export function runRow(run: Run, l10n: Localiser): RunRow {
  if (!isReadable(run)) {
    const reason = plainText(translateRecorded(run.reason, l10n));
    return {
      label: plainName(run.id),
      description: reason,
      icon: 'question',
      tooltip: l10n.t('{0} can\'t be read: {1}', plainName(run.id), reason),
      accessibleLabel: l10n.t('{0} can\'t be read: {1}', plainName(run.id), reason),
      contextValue: 'unreadable ended',
    };
  }
  const name = strategyName(run.record.configuration, l10n);
  const score = headlineScore(run);
  const description = descriptionOf(run, l10n);
  const lines = [runTitle(run, l10n)];
  if (score) lines.push(`${scoreSentence(score, l10n)}, ${splitWords(run, l10n)}`);
  if (run.record.failure) lines.push(sentences(translateRecorded(run.record.failure.message, l10n)), sentences(translateRecorded(run.record.failure.next, l10n)));
  lines.push(isLive(run) ? progressText(run, l10n) : stateWord(run.state, l10n));
  lines.push(l10n.t('{0}, seed {1}', plainName(run.record.configuration.weights ?? run.record.configuration.backbone), run.record.configuration.seed));
  const device = run.record.environment?.device;
  if (device) lines.push([device.name, ...(device.reason === undefined ? [] : [device.reason])].map((text) => plainText(translateRecorded(text, l10n))).join(': '));
  lines.push(run.record.createdAt);

  const spoken = [l10n.t('{0}, {1}', name, stateWord(run.state, l10n))];
  if (isLive(run)) spoken.push(progressText(run, l10n));
  if (score) {
    spoken.push(l10n.t('accuracy {0}, 95% interval {1} to {2}, {3} of {4} right',
      formatAccuracy(score.accuracy), formatAccuracy(score.interval[0]), formatAccuracy(score.interval[1]), score.correct, score.total));
  }
  if (run.record.result) spoken.push(formatClock(run.record.result.seconds));
  if (run.record.failure) spoken.push(plainText(translateRecorded(run.record.failure.message, l10n)));

  const words = ['run', isLive(run) ? 'live' : 'ended'];
  if (run.epochs.length > 0) words.push('epochs');
  if (run.record.result !== undefined) words.push('model');
  return { label: name, description, ...ICONS[run.state], tooltip: lines.join('\n'), accessibleLabel: spoken.join(', '), contextValue: words.join(' ') };
}

function descriptionOf(run: RunSnapshot, l10n: Localiser): string {
  const score = headlineScore(run);
  const number = score && countedScore(score);
  const parts = ((): (string | undefined)[] => {
    switch (run.state) {
      case 'waiting':
      case 'starting':
      case 'running': return [number, progressText(run, l10n)];
      case 'finished': return [number, run.record.result && formatClock(run.record.result.seconds)];
      case 'stopped': return [number, reachedEpoch(run) > 0 ? l10n.t('stopped at {0}', epochText(run, l10n)) : l10n.t('stopped')];
      case 'interrupted': return [number, reachedEpoch(run) > 0 ? l10n.t('interrupted at {0}', epochText(run, l10n)) : l10n.t('interrupted')];
      case 'failed': return [run.record.failure ? plainText(translateRecorded(run.record.failure.message, l10n), 120) : l10n.t('failed')];
    }
  })();
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** What the number was measured on, and how it was chosen. */
function splitWords(run: RunSnapshot, l10n: Localiser): string {
  return run.record.result?.accuracySplit === 'test'
    ? l10n.t('on the test images')
    : l10n.t('on the validation images, on which the best epoch was chosen');
}

/** What is said once, when a run ends. */
export interface Ending {
  readonly severity: 'information' | 'warning' | 'error';
  readonly text: string;
}

export function endingOf(run: RunSnapshot, l10n: Localiser): Ending {
  const title = runTitle(run, l10n);
  const score = headlineScore(run);
  const number = score && scoreSentence(score, l10n);
  switch (run.state) {
    case 'failed': {
      const { failure } = run.record;
      const text = failure ? sentences(translateRecorded(failure.message, l10n), translateRecorded(failure.next, l10n)) : l10n.t('its log says why.');
      return { severity: 'error', text: l10n.t('{0} failed: {1}', title, text) };
    }
    case 'interrupted':
      return { severity: 'warning', text: number ? l10n.t('{0} was interrupted: its trainer is gone. Best so far {1}.', title, number) : l10n.t('{0} was interrupted: its trainer is gone. The run\'s log may say why.', title) };
    case 'stopped':
      return { severity: 'information', text: number ? l10n.t('{0} stopped. Best so far {1}.', title, number) : l10n.t('{0} stopped before its first epoch ended.', title) };
    default:
      return { severity: 'information', text: number ? l10n.t('{0}: {1}', title, number) : l10n.t('{0} ended without a result.', title) };
  }
}

/** The status bar while something trains: the run to show, and the words; undefined when nothing does. */
export function statusOf(runs: readonly Run[], l10n: Localiser): { run: RunSnapshot; text: string; tooltip: string } | undefined {
  const live = runs.filter(isLive).sort(byNewest);
  const run = live.find(({ state }) => state === 'running') ?? live.find(({ state }) => state === 'starting') ?? live.at(-1);
  if (run === undefined) return undefined;
  const others = live.length - 1;
  const text = others === 0 ? l10n.t('Thaw: {0}', progressText(run, l10n)) : l10n.t('Thaw: {0}, {1} more', progressText(run, l10n), others);
  return { run, text, tooltip: live.map((each) => `${runTitle(each, l10n)}: ${progressText(each, l10n)}`).join('\n') };
}

/** Newest first. */
export function byNewest(a: RunSnapshot, b: RunSnapshot): number {
  return compareText(b.record.createdAt, a.record.createdAt) || compareText(b.directory, a.directory);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Runs of one dataset of one workspace folder, newest first. */
export interface RunGroup {
  readonly key: string;
  /** The dataset's name; undefined for the runs that can't be read. */
  readonly name: string | undefined;
  readonly runs: readonly Run[];
}

/** Groups of runs, that with the newest run first; what can't be read comes last. `folderOf` names the workspace folder of a run. */
export function groupRuns(runs: readonly Run[], folderOf: (directory: string) => string): RunGroup[] {
  const groups = new Map<string, { key: string; name: string; runs: RunSnapshot[] }>();
  for (const run of runs.filter(isReadable).sort(byNewest)) {
    const key = JSON.stringify([folderOf(run.directory), run.record.dataset.path]);
    const group = groups.get(key) ?? { key, name: plainName(run.record.dataset.name), runs: [] };
    group.runs.push(run);
    groups.set(key, group);
  }
  const unreadable = runs.filter((run) => !isReadable(run)).sort((a, b) => compareText(a.directory, b.directory));
  return unreadable.length === 0 ? [...groups.values()] : [...groups.values(), { key: 'unreadable', name: undefined, runs: unreadable }];
}
