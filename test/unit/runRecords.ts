// Records, events, predictions and snapshots to test with.
import path from 'node:path';
import { wilsonInterval } from '../../src/metrics/intervals.js';
import type { EpochEvent } from '../../src/protocol/events.js';
import type { Prediction, RunRecord, RunResult } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';
import { defaultRecipe } from '../../src/training/recipes.js';

export const FINGERPRINT = 'a'.repeat(64);

export function makeRecord(change: Partial<RunRecord> = {}): RunRecord {
  return {
    schemaVersion: 1, id: 'run-1', createdAt: '2026-01-02T03:04:05.000Z', state: 'running',
    dataset: { name: 'hymenoptera', path: 'hymenoptera' },
    configuration: {
      strategy: 'freeze', backbone: 'efficientnet_lite0', colour: 'rgb', seed: 0, splitSeed: 0,
      recipe: defaultRecipe('freeze', 'efficientnet_lite0'),
    },
    ...change,
  };
}

export function makeResult(correct: number, total: number, change: Partial<RunResult> = {}): RunResult {
  const score = { accuracy: correct / total, correct, total, interval: wilsonInterval(correct, total) };
  return {
    ...score, accuracySplit: 'validation', bestEpoch: 3, epochs: 15, seconds: 6, imagesPerSecond: 540, imagesPerSecondOf: 'features',
    validation: { ...score, loss: 0.2 }, parameters: { total: 3_373_000, trained: 2562 }, peakMemoryBytes: 2 ** 30, ...change,
  };
}

export function makeEpoch(epoch: number, correct = 140, loss = 0.3): EpochEvent {
  const score = { accuracy: correct / 153, loss, correct, total: 153 };
  return {
    type: 'epoch', time: 1_700_000_000_000 + epoch * 1000, epoch, epochs: 15, train: score, validation: score, interval: wilsonInterval(correct, 153),
    seconds: 1, imagesPerSecond: 100, learningRate: 0.01, memoryBytes: 1, tensors: 1,
  };
}

/** Predictions of `right.length` images, image i right where `right[i]` is. */
export function makePredictions(right: readonly boolean[], split: 'validation' | 'test' = 'validation'): Prediction[] {
  return right.map((isRight, index) => ({
    path: `val/ants/${index}.jpg`, sha256: index.toString(16).padStart(64, '0'), split, truth: 0, predicted: isRight ? 0 : 1, probabilities: isRight ? [0.9, 0.1] : [0.1, 0.9],
  }));
}

export function makeSnapshot(directory: string, record: Partial<RunRecord>, change: Partial<RunSnapshot> = {}): RunSnapshot {
  const full = makeRecord({ id: path.basename(directory), ...record });
  return { directory, record: full, state: full.state, epochs: [], damagedLines: 0, ...change };
}
