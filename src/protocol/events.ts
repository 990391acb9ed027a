// events.ndjson: what the trainer says while it works, one object a line, only ever appended. A torn last line is ignored.
import * as v from 'valibot';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const text = v.pipe(v.string(), v.maxLength(4096));
/** Milliseconds since 1970, no more than a `Date` can hold. */
const time = v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(8.64e15));

export const PHASES = ['waiting', 'scanning', 'loading', 'features', 'head', 'training', 'finishing'] as const;
export type Phase = (typeof PHASES)[number];

const epochScore = v.strictObject({ accuracy: share, loss: positive, correct: count, total: count });
export type EpochScore = v.InferOutput<typeof epochScore>;

/** The trainer is at another part of its work; `done` of `total` where it counts (images, or the place in line). */
const phaseEvent = v.strictObject({ type: v.literal('phase'), time, phase: v.picklist(PHASES), message: text, done: v.optional(count), total: v.optional(count) });
export type PhaseEvent = v.InferOutput<typeof phaseEvent>;

/** Written at most four times a second. `step` of `steps` within `epoch` (from 1). */
const stepEvent = v.strictObject({ type: v.literal('step'), time, epoch: count, step: count, steps: count, loss: positive, imagesPerSecond: positive });
export type StepEvent = v.InferOutput<typeof stepEvent>;

const epochEvent = v.strictObject({
  type: v.literal('epoch'),
  time,
  /** From 1. */
  epoch: count,
  epochs: count,
  /** Freeze: measured on the training features after the epoch. Finetune: the running figure over the epoch's augmented batches. */
  train: epochScore,
  validation: epochScore,
  /** Wilson, 95 %, of the validation accuracy. */
  interval: v.tuple([share, share]),
  seconds: positive,
  imagesPerSecond: positive,
  learningRate: positive,
  /** Resident memory of the trainer. */
  memoryBytes: count,
  /** Tensors alive after the epoch; flat, or the loop leaks. */
  tensors: count,
});
export type EpochEvent = v.InferOutput<typeof epochEvent>;

/** The whole GPU every two seconds, whoever uses it; only while a run trains on one. */
const gpuEvent = v.strictObject({
  type: v.literal('gpu'),
  time,
  /** Share of the time in which it computed something; absent where the driver doesn't say. */
  utilization: v.optional(share),
  usedBytes: count,
  totalBytes: count,
});
export type GpuEvent = v.InferOutput<typeof gpuEvent>;

const messageEvent = v.strictObject({ type: v.literal('message'), time, level: v.picklist(['info', 'warning', 'error']), text });
export type MessageEvent = v.InferOutput<typeof messageEvent>;

export const trainerEventSchema = v.variant('type', [phaseEvent, stepEvent, epochEvent, gpuEvent, messageEvent]);
export type TrainerEvent = v.InferOutput<typeof trainerEventSchema>;
