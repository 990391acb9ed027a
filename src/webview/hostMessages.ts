// What the host may send, looked at lightly: enough that a message of another shape is reported and not drawn.
import * as v from 'valibot';
import { adviceSchema } from '../protocol/advice.js';
import type { HostMessage } from '../protocol/messages.js';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isOptional = (value: unknown, type: 'string' | 'number') => value === undefined || typeof value === type;

export function isUnreadable(run: RunSnapshot | UnreadableRun): run is UnreadableRun {
  return !('record' in run);
}

function looksLikeSnapshot(value: unknown): boolean {
  if (!isObject(value) || typeof value['directory'] !== 'string') return false;
  const { record, epochs } = value;
  return isObject(record) && isObject(record['configuration']) && isObject(record['dataset']) && typeof record['id'] === 'string'
    && typeof value['state'] === 'string' && Array.isArray(epochs) && epochs.every((epoch) => isObject(epoch) && isObject(epoch['train']) && isObject(epoch['validation']));
}

function looksLikeRun(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (!isObject(value)) return false;
  return 'record' in value ? looksLikeSnapshot(value) : typeof value['directory'] === 'string' && typeof value['id'] === 'string' && typeof value['reason'] === 'string';
}

function looksLikeComparison(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return isObject(value) && Array.isArray(value['runs']) && value['runs'].every(looksLikeSnapshot) && Array.isArray(value['pairs'])
    && isObject(value['verdict']) && typeof value['verdict']['title'] === 'string' && Array.isArray(value['verdict']['body']);
}

function looksLikeClassification(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return isObject(value) && ['run', 'directory', 'score'].every((key) => typeof value[key] === 'string') && isObject(value['network']) && Array.isArray(value['images'])
    && value['images'].every((image) => isObject(image) && typeof image['name'] === 'string' && (Array.isArray(image['top']) || typeof image['reason'] === 'string'));
}

function looksLikeStudy(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (!isObject(value) || typeof value['directory'] !== 'string') return false;
  if (!('record' in value)) return typeof value['id'] === 'string' && typeof value['reason'] === 'string';
  const { record, curves, datasets, state } = value;
  return isObject(record) && isObject(record['plan']) && ['runs', 'cells', 'pairs'].every((key) => Array.isArray(record[key])) && Array.isArray(curves) && Array.isArray(datasets) && typeof state === 'string';
}

function looksLikeSamples(value: unknown): boolean {
  return Array.isArray(value) && value.every((sample) => isObject(sample) && typeof sample['dataset'] === 'number' && typeof sample['thumbnail'] === 'string');
}

/** The message, or undefined where its shape is not one of the protocol's. */
export function parseHostMessage(data: unknown): HostMessage | undefined {
  if (!isObject(data)) return undefined;
  const fits = (() => {
    switch (data['type']) {
      case 'run': return looksLikeRun(data['run']) && typeof data['now'] === 'number' && isOptional(data['note'], 'string') && isOptional(data['cannotTrain'], 'string');
      case 'comparison': return looksLikeComparison(data['comparison']) && isOptional(data['reason'], 'string');
      case 'classification': return looksLikeClassification(data['classification']);
      case 'advice': return (data['advice'] === undefined || data['advice'] === null || v.is(adviceSchema, data['advice'])) && isOptional(data['cannotTrain'], 'string');
      case 'study': return looksLikeStudy(data['study']) && looksLikeSamples(data['samples']) && isOptional(data['cannotTrain'], 'string');
      case 'stopFailed': return typeof data['directory'] === 'string';
      case 'show': return data['tab'] === 'run' || data['tab'] === 'compare' || data['tab'] === 'classify' || data['tab'] === 'advice' || data['tab'] === 'study';
      default: return false;
    }
  })();
  return fits ? data as unknown as HostMessage : undefined;
}
