// What the loops share: batches, scores, reports.
import type { EpochScore } from '../protocol/events.js';
import type { SeededRandom } from './random.js';

export interface EpochReport {
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  readonly train: EpochScore;
  readonly validation: EpochScore;
  readonly seconds: number;
  /** Training images a second, validation left out. */
  readonly imagesPerSecond: number;
  readonly learningRate: number;
}

export interface StepReport {
  readonly epoch: number;
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly imagesPerSecond: number;
}

export interface LoopHooks {
  onStep?(report: StepReport): void;
  onEpoch(report: EpochReport): void | Promise<void>;
  /** Asked at every batch; true ends the loop at once, keeping the best epoch so far. */
  stopRequested(): boolean;
}

/** Probabilities of a set of images, row by row, and what they are worth. */
export interface Evaluation {
  /** `[images, classes]`, softmax. */
  readonly probabilities: Float32Array;
  readonly score: EpochScore;
}

/** Boundaries of an epoch's batches: about `batch` images each, all of the same size up to one, so that no tiny batch upsets batch norm. */
export function batchBounds(images: number, batch: number): number[] {
  const steps = Math.max(1, Math.round(images / batch));
  return Array.from({ length: steps + 1 }, (_, index) => Math.round((index * images) / steps));
}

/** Boundaries of an epoch's batches as PyTorch's DataLoader makes them: `batch` images each, the last one what remains. */
export function remainderBounds(images: number, batch: number): number[] {
  return [...Array.from({ length: Math.ceil(images / batch) }, (_, index) => index * batch), images];
}

/** The batch of a small dataset: smaller than the recipe's, down to 4, so that an epoch has `leastSteps` steps. */
export function fittedBatch(images: number, batch: number, leastSteps: number): number {
  return Math.min(batch, Math.max(4, Math.ceil(images / leastSteps)));
}

/** Scores rows of logits: accuracy (a tie goes to the lower class), mean cross-entropy in nats, softmax. Computed in float64. */
export function evaluateLogits(logits: Float32Array, labels: ArrayLike<number>, classes: number): Evaluation {
  const total = labels.length;
  const probabilities = new Float32Array(total * classes);
  let correct = 0;
  let loss = 0;
  for (let row = 0; row < total; row++) {
    const offset = row * classes;
    let best = 0;
    let highest = -Infinity;
    for (let k = 0; k < classes; k++) {
      const value = logits[offset + k] ?? NaN;
      if (value > highest) [best, highest] = [k, value];
    }
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += Math.exp((logits[offset + k] ?? NaN) - highest);
    for (let k = 0; k < classes; k++) probabilities[offset + k] = Math.exp((logits[offset + k] ?? NaN) - highest) / sum;
    const truth = labels[row] ?? -1;
    loss += Math.log(sum) + highest - (logits[offset + truth] ?? NaN);
    if (best === truth) correct++;
  }
  return { probabilities, score: { accuracy: total === 0 ? 0 : correct / total, loss: total === 0 ? 0 : loss / total, correct, total } };
}

/** PyTorch's default start of `nn.Linear`: weight and bias uniform in ±1/√inputs. The weight is `[inputs, classes]`. */
export function newHead(inputs: number, classes: number, random: SeededRandom): Head {
  const bound = 1 / Math.sqrt(inputs);
  const draw = (): number => (random.uniform() * 2 - 1) * bound;
  return { weight: Float32Array.from({ length: inputs * classes }, draw), bias: Float32Array.from({ length: classes }, draw) };
}

/** The last layer: logits = features · weight + bias. */
export interface Head {
  /** `[inputs, classes]`. */
  readonly weight: Float32Array;
  /** `[classes]`. */
  readonly bias: Float32Array;
}
