// run.json: what a run was asked to do, where it ran, how far it is and what came out.
// The trainer writes it, everybody else reads it; a run folder in a cloned repository is hostile, so it is read through this schema only.
import * as v from 'valibot';

/** `scratch`: the same network from a random start, which says what pretraining was worth. */
export const STRATEGIES = ['freeze', 'finetune', 'scratch'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** `gray`: luminance, ITU-R 601, on all three channels of the input. */
export const COLOURS = ['rgb', 'gray'] as const;
export type Colour = (typeof COLOURS)[number];

export const BACKBONES = [
  'efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2', 'mobilenet_v2', 'resnet18', 'resnet34', 'resnet50', 'squeezenet1_1',
] as const;
/** The one that the set-up fetches. */
export const DEFAULT_BACKBONE = 'efficientnet_lite0';
export type BackboneName = (typeof BACKBONES)[number];

/** A person's own weights: the network, and the first eight digits of the file's SHA-256. */
export const OWN_WEIGHTS = new RegExp(`^(?:${BACKBONES.join('|')})-[0-9a-f]{8}$`);

/** States that a trainer writes. `interrupted` is never written: a reader concludes it from a silent heartbeat (runs/liveness.ts). */
export const WRITTEN_STATES = ['waiting', 'starting', 'running', 'finished', 'stopped', 'failed'] as const;
export type WrittenState = (typeof WRITTEN_STATES)[number];
export type RunState = WrittenState | 'interrupted';

/** Letters, digits, `-` and `_`: a run id is a folder name and nothing else. */
export const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

/** More classes than this are neither trained nor read. */
export const MOST_CLASSES = 20_000;

const text = v.pipe(v.string(), v.maxLength(4096));
const name = v.pipe(v.string(), v.maxLength(1024));
export const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** Less than 1: a mean that keeps all learns nothing. */
const decay = v.pipe(v.number(), v.minValue(0), v.maxValue(0.999999));
const interval = v.tuple([share, share]);
/** A moment, as text; one that passes is one that `Date` reads too, which `2026-01-01T00:00:00+05` of the same standard is not. */
export const timestamp = v.pipe(v.string(), v.isoTimestamp(), v.check((value) => !Number.isNaN(Date.parse(value)), 'not a date and time that can be read'));

/**
 * How the layers learn: every number that the loop uses. Stored whole in run.json. What was added later is optional and defaults to what older
 * runs did, so that they still read.
 */
export const recipeSchema = v.strictObject({
  name: v.pipe(v.string(), v.maxLength(64)),
  epochs: v.pipe(count, v.minValue(1), v.maxValue(1000)),
  batch: v.pipe(count, v.minValue(1), v.maxValue(4096)),
  /** Above so many training images, another batch. */
  batchAbove: v.optional(v.strictObject({ images: count, batch: v.pipe(count, v.minValue(1), v.maxValue(4096)) })),
  /** The last layer on cached features: the whole of freeze, the first phase of finetune. Unused where `body.headStart` is `random`. */
  head: v.strictObject({
    optimizer: v.picklist(['adam', 'sgd']),
    epochs: v.pipe(count, v.minValue(1), v.maxValue(1000)),
    batch: v.pipe(count, v.minValue(1)),
    /** On few images the batch is made smaller, down to 4, until an epoch has this many steps. */
    leastSteps: v.pipe(count, v.minValue(1)),
    learningRate: positive,
    /** Of `sgd`. */
    momentum: v.optional(share, 0.9),
    /** Of `adam`: how much of the two running means each step keeps, and what keeps the step finite. */
    beta1: v.optional(decay, 0.9),
    beta2: v.optional(decay, 0.999),
    epsilon: v.optional(v.pipe(v.number(), v.minValue(1e-12), v.maxValue(1)), 1e-8),
    weightDecay: positive,
    warmupShare: v.optional(share, 0),
    /** After the warm-up: half a cosine down to 0, or the rate as it is. */
    schedule: v.optional(v.picklist(['cosine', 'constant']), 'cosine'),
  }),
  /** Through the whole network each epoch; absent where the last layer learns on cached features alone. */
  body: v.optional(v.strictObject({
    learningRate: positive,
    /** Multiplies the rate of the last layer. */
    headLearningRateFactor: positive,
    /** Of PyTorch's SGD: v ← momentum · v + gradient, parameter ← parameter − rate · v. */
    momentum: share,
    weightDecay: positive,
    warmupShare: share,
    /** Half a cosine down to 0, or times `decayFactor` every `decayEpochs` epochs. */
    schedule: v.optional(v.picklist(['cosine', 'step']), 'cosine'),
    decayEpochs: v.optional(v.pipe(count, v.minValue(1)), 10),
    decayFactor: v.optional(share, 0.1),
    /** What learns: every parameter (finetune, scratch), or those of the last layer (freeze). */
    trains: v.optional(v.picklist(['all', 'head']), 'all'),
    /** The last layer begins as the head trained on cached features, or as PyTorch's default, random. */
    headStart: v.optional(v.picklist(['trained', 'random']), 'trained'),
    /** An epoch in batches of one size up to an image, or of exactly `batch` images and a remainder, as PyTorch's DataLoader makes them. */
    batches: v.optional(v.picklist(['even', 'remainder']), 'even'),
    /** Share of the target that is spread evenly over all classes, as PyTorch's CrossEntropyLoss does (Szegedy et al. 2016). */
    labelSmoothing: v.optional(share, 0),
    clipNorm: positive,
    /** `batch`: normalised by the batch's own statistics, and the running ones drift towards them, whatever learns. */
    batchNorm: v.picklist(['frozen', 'batch']),
    batchNormMomentum: share,
    /** Training images from which running statistics are estimated anew before each validation; 0: none. */
    reestimateImages: count,
    flip: v.boolean(),
    /** A square of the input's size out of the stored one, drawn at random; else the middle. */
    crop: v.boolean(),
    /** Instead of `crop`: torchvision's RandomResizedCrop of the whole resized image, decoded anew each epoch. */
    resizedCrop: v.optional(v.strictObject({
      /** Least and largest share of the image's area. */
      scale: v.tuple([share, share]),
      /** Least and largest proportion, width to height. */
      ratio: v.tuple([v.pipe(v.number(), v.minValue(0.01), v.maxValue(100)), v.pipe(v.number(), v.minValue(0.01), v.maxValue(100))]),
    })),
  })),
});
export type Recipe = v.InferOutput<typeof recipeSchema>;

/** A recipe in a file of its own, where `$schema` tells an editor what the fields are. */
export const recipeFileSchema = v.strictObject({ $schema: v.optional(v.pipe(v.string(), v.maxLength(4096))), ...recipeSchema.entries });

const device = v.strictObject({
  kind: v.picklist(['gpu', 'cpu']),
  /** In plain words: `NVIDIA RTX 4090, 24 GiB` or `CPU (2 threads)`. */
  name,
  /** Why no GPU is used; empty when one is. */
  reason: v.optional(text),
  threads: v.optional(count),
  memoryBytes: v.optional(count),
});
export type Device = v.InferOutput<typeof device>;

const leftOut = v.strictObject({ path: name, reason: text });
export type LeftOut = v.InferOutput<typeof leftOut>;

const data = v.strictObject({
  classes: v.pipe(v.array(name), v.maxLength(MOST_CLASSES)),
  /** `given`: root/{train,val[,test]}/class; `split`: root/class, split by content. */
  layout: v.picklist(['given', 'split']),
  train: count,
  validation: count,
  test: count,
  /** Images of each class, in the order of `classes`. */
  counts: v.pipe(v.array(v.strictObject({ train: count, validation: count, test: count })), v.maxLength(MOST_CLASSES)),
  /** SHA-256 over the sorted (content hash, split, class) of every image used: two runs with the same value saw the same split. */
  fingerprint: sha256,
  /** At most 200 are listed; `leftOutCount` counts all. */
  leftOut: v.pipe(v.array(leftOut), v.maxLength(200)),
  leftOutCount: count,
  warnings: v.pipe(v.array(text), v.maxLength(200)),
});
export type RunData = v.InferOutput<typeof data>;

const score = v.strictObject({ accuracy: share, correct: count, total: count, interval, loss: positive });
export type Score = v.InferOutput<typeof score>;

const result = v.strictObject({
  /** The headline: on the test split where there is one, else on validation, where it is the best epoch's and so optimistic. */
  accuracy: share,
  correct: count,
  total: count,
  /** Wilson, 95 %. */
  interval,
  accuracySplit: v.picklist(['validation', 'test']),
  bestEpoch: count,
  /** Epochs that ran to their end. */
  epochs: count,
  /** From the trainer's start on the job to the result, waiting in line left out. */
  seconds: positive,
  /** Images through the network a second, the loop's own: see `imagesPerSecondOf`. */
  imagesPerSecond: positive,
  /** What the speed counts: training steps of finetune, or the backbone's feature pass of freeze (absent when all came from the cache). */
  imagesPerSecondOf: v.picklist(['training', 'features', 'cached features']),
  /** Images whose features this run computed; the others' were in the cache. Absent where the recipe has no features, and in older runs. */
  featuresComputed: v.optional(count),
  validation: score,
  test: v.optional(score),
  parameters: v.strictObject({ total: count, trained: count }),
  peakMemoryBytes: count,
});
export type RunResult = v.InferOutput<typeof result>;

export const failureSchema = v.strictObject({
  code: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,63}$/)),
  /** One sentence: what happened and where. */
  message: text,
  /** One sentence: what to do next. */
  next: text,
});
export type Failure = v.InferOutput<typeof failureSchema>;

export const runRecordSchema = v.strictObject({
  schemaVersion: v.literal(1),
  id: v.pipe(v.string(), v.regex(RUN_ID)),
  createdAt: timestamp,
  startedAt: v.optional(timestamp),
  endedAt: v.optional(timestamp),
  state: v.picklist(WRITTEN_STATES),
  dataset: v.strictObject({
    /** The folder as the person sees it. */
    name,
    /** Relative to the folder that holds `.thaw` when inside it, else absolute; `/` between the parts. */
    path: name,
  }),
  configuration: v.strictObject({
    strategy: v.picklist(STRATEGIES),
    backbone: v.picklist(BACKBONES),
    /** The person's own weights of that network, by name; absent for the published ones. */
    weights: v.optional(v.pipe(v.string(), v.regex(OWN_WEIGHTS))),
    colour: v.picklist(COLOURS),
    seed: count,
    splitSeed: count,
    recipe: recipeSchema,
  }),
  environment: v.optional(v.strictObject({
    thaw: name,
    node: name,
    platform: name,
    tensorflow: name,
    sharp: name,
    threads: count,
    device,
    /** What training started from; absent where that was random. */
    weights: v.optional(v.strictObject({ name, sha256, source: text })),
  })),
  data: v.optional(data),
  result: v.optional(result),
  failure: v.optional(failureSchema),
});
export type RunRecord = v.InferOutput<typeof runRecordSchema>;

/** split.json: which image was in which split, and its content. Paths are relative to the dataset folder, `/` between the parts. */
export const splitFileSchema = v.strictObject({
  schemaVersion: v.literal(1),
  images: v.array(v.strictObject({
    path: name,
    class: count,
    split: v.picklist(['train', 'validation', 'test']),
    sha256,
  })),
});
export type SplitFile = v.InferOutput<typeof splitFileSchema>;

/** One line of predictions.ndjson: an image of the scored split under the restored weights. */
export const predictionSchema = v.strictObject({
  path: name,
  sha256,
  split: v.picklist(['validation', 'test']),
  truth: count,
  predicted: count,
  /** Softmax, one for each class. */
  probabilities: v.array(share),
});
export type Prediction = v.InferOutput<typeof predictionSchema>;
