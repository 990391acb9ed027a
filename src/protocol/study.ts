// study.json: which runs a study is made of, how far they are, and what they say together. The trainer that executes it writes it; everybody else
// reads it, and through this schema only, since a study folder in a cloned repository is hostile.
import * as v from 'valibot';
import { BACKBONES, COLOURS, failureSchema, recipeSchema, RUN_ID, sha256, STRATEGIES, timestamp, WRITTEN_STATES } from './run.js';
import type { EpochScore } from './events.js';
import type { RunState } from './run.js';

const name = v.pipe(v.string(), v.maxLength(1024));
const location = v.pipe(v.string(), v.maxLength(4096));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const difference = v.pipe(v.number(), v.minValue(-1), v.maxValue(1));

/** At most so many of each; a study is a table that a person reads. */
export const MOST_DATASETS = 32;
export const MOST_SEEDS = 100;
export const MOST_RUNS = 20_000;

/** Some of what there is, each once: a table must not become larger than there are things to put into it. */
function someOf<const T extends readonly string[]>(known: T) {
  return v.pipe(v.array(v.picklist(known)), v.minLength(1), v.maxLength(known.length), v.check((items) => areDistinct(items), 'something is in it twice'));
}

function areDistinct(items: readonly string[]): boolean {
  return new Set(items).size === items.length;
}

/** What a study is asked to do. */
export const studyPlanSchema = v.strictObject({
  datasets: v.pipe(v.array(v.strictObject({
    name,
    /** Relative to the folder that holds `.thaw` when inside it, else absolute; `/` between the parts. */
    path: location,
    /** The runs folder of its runs, in the same way. */
    runs: location,
  })), v.minLength(1), v.maxLength(MOST_DATASETS)),
  strategies: someOf(STRATEGIES),
  colours: someOf(COLOURS),
  backbones: someOf(BACKBONES),
  /** Seeds 0 to this, exclusive. */
  seeds: v.pipe(count, v.minValue(1), v.maxValue(MOST_SEEDS)),
  splitSeed: count,
  /** As asked for, `default`; the recipes themselves are below. */
  recipe: v.pipe(v.string(), v.maxLength(64)),
  recipes: v.pipe(v.array(v.strictObject({ strategy: v.picklist(STRATEGIES), backbone: v.picklist(BACKBONES), recipe: recipeSchema })), v.maxLength(100)),
});
export type StudyPlan = v.InferOutput<typeof studyPlanSchema>;

/** Where in the table a run belongs. */
const placeEntries = {
  /** Index into the plan's datasets. */
  dataset: count,
  strategy: v.picklist(STRATEGIES),
  colour: v.picklist(COLOURS),
  backbone: v.picklist(BACKBONES),
};

/** `leftOut`: not started, for want of time. A run that was interrupted is `planned` again. */
export const STUDY_RUN_STATES = ['planned', 'running', 'finished', 'failed', 'leftOut'] as const;

const studyRunSchema = v.strictObject({
  ...placeEntries,
  seed: count,
  state: v.picklist(STUDY_RUN_STATES),
  /** The run folder's name, once there is one. */
  run: v.optional(v.pipe(v.string(), v.regex(RUN_ID))),
  /** Trained by an earlier study: its time is not this one's. */
  takenUp: v.optional(v.literal(true)),
  /** Before it began. */
  estimatedSeconds: v.optional(positive),
  /** As it took, features included. */
  seconds: v.optional(positive),
  /** Of these, until the images were ready to learn from: decoded, and where the recipe wants it turned into features. */
  featureSeconds: v.optional(positive),
  failure: v.optional(failureSchema),
});
export type StudyRun = v.InferOutput<typeof studyRunSchema>;

/** A cell of the table: what the runs of all its seeds come to. Absent fields: no run has finished yet, or its runs saw different splits. */
const studyCellSchema = v.strictObject({
  ...placeEntries,
  /** Seeds whose runs finished. */
  seeds: v.pipe(v.array(count), v.maxLength(MOST_SEEDS)),
  /** Of each of these. */
  accuracies: v.pipe(v.array(share), v.maxLength(MOST_SEEDS)),
  /** The `data.fingerprint` of its runs: which images they learned from and were scored on. Absent where they saw different ones: then they are not averaged. */
  fingerprint: v.optional(sha256),
  mean: v.optional(share),
  /** 95 %. */
  interval: v.optional(v.tuple([share, share])),
  /** `bootstrap`: over seeds and images. `wilson`: over images alone, of one run; of two runs, or where all are right everywhere, the widest ends of all. */
  intervalBy: v.optional(v.picklist(['bootstrap', 'wilson'])),
  images: v.optional(count),
  split: v.optional(v.picklist(['validation', 'test'])),
  /** Mean over the seeds of what such a run takes by itself: where an earlier run had left its features in the cache, the time that these took is added. */
  seconds: v.optional(positive),
  /** No run of this study computed these features: they were in the cache before it. */
  cached: v.optional(v.boolean()),
});
export type StudyCell = v.InferOutput<typeof studyCellSchema>;

/** What is held against what: what pretraining is worth, which layers should learn, what colour is worth. */
export const CONTRASTS = ['strategy', 'colour', 'pretraining'] as const;
export type Contrast = (typeof CONTRASTS)[number];

const side = v.strictObject({ strategy: v.picklist(STRATEGIES), colour: v.picklist(COLOURS) });
const pairEntries = { contrast: v.picklist(CONTRASTS), dataset: count, backbone: v.picklist(BACKBONES), first: side, second: side };

const testedPairSchema = v.strictObject({
  ...pairEntries,
  /** Seeds that both have. */
  seeds: v.pipe(v.array(count), v.minLength(1), v.maxLength(MOST_SEEDS)),
  images: count,
  /** Mean accuracy of the first minus that of the second, over these seeds. */
  difference,
  /** 95 %, bootstrap over seeds and images; from three seeds on, and where any run differs. */
  interval: v.optional(v.tuple([difference, difference])),
  /** Exact McNemar of each seed. */
  perSeed: v.pipe(v.array(v.strictObject({ seed: count, onlyFirst: count, onlySecond: count, p: share })), v.maxLength(MOST_SEEDS)),
  /** Sign-flip test over images, the seeds taken as given. */
  pImages: share,
  /** Student's paired test over seeds, the images taken as given; from three seeds on. */
  pSeeds: v.optional(share),
  /** The larger of the two. */
  p: share,
  /** After Holm's correction over the pairs of the study. */
  pHolm: share,
});
export type TestedStudyPair = v.InferOutput<typeof testedPairSchema>;

/** Why a pair has no test yet, or can't have one. */
export const UNTESTED_REASONS = ['no-result', 'other-split', 'other-images', 'no-predictions'] as const;
export type UntestedReason = (typeof UNTESTED_REASONS)[number];

const untestedPairSchema = v.strictObject({ ...pairEntries, untested: v.picklist(UNTESTED_REASONS) });
export type StudyPair = TestedStudyPair | v.InferOutput<typeof untestedPairSchema>;

export const studyRecordSchema = v.strictObject({
  schemaVersion: v.literal(1),
  id: v.pipe(v.string(), v.regex(RUN_ID)),
  createdAt: timestamp,
  startedAt: v.optional(timestamp),
  endedAt: v.optional(timestamp),
  state: v.picklist(WRITTEN_STATES),
  plan: studyPlanSchema,
  /** The time that it may take. */
  minutes: v.optional(positive),
  /** Measured on a few batches before it began, for the seeds that were asked for. */
  estimate: v.optional(v.strictObject({ seconds: positive, device: name })),
  /** Seeds that are run, where the time doesn't allow for all. */
  trimmedTo: v.optional(count),
  /** Each is read for itself: one folder that many named would be read, and kept, as often. */
  runs: v.pipe(v.array(studyRunSchema), v.maxLength(MOST_RUNS), v.check((runs) => areDistinct(runs.flatMap(({ run }) => run ?? [])), 'two runs have the same folder')),
  cells: v.pipe(v.array(studyCellSchema), v.maxLength(MOST_RUNS)),
  pairs: v.pipe(v.array(v.union([testedPairSchema, untestedPairSchema])), v.maxLength(MOST_RUNS)),
  failure: v.optional(failureSchema),
});
export type StudyRecord = v.InferOutput<typeof studyRecordSchema>;

/** What is known of a dataset, from its runs. */
export interface StudyDataset {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly classes: number;
}

/** A run of the study as its folder shows it. */
export interface StudyCurve {
  /** Index into the record's runs. */
  readonly run: number;
  readonly state: RunState;
  readonly epochs: number;
  /** The split that it saw, once it has read it. */
  readonly fingerprint?: string;
  /** Validation, epoch by epoch. */
  readonly validation: readonly Pick<EpochScore, 'accuracy'>[];
}

/** A study and what its run folders add: all that is shown of it. */
export interface StudySnapshot {
  /** Absolute path of the study folder. */
  readonly directory: string;
  readonly record: StudyRecord;
  readonly state: RunState;
  /** One for each dataset of the plan; undefined before its first run has read it. */
  readonly datasets: readonly (StudyDataset | undefined)[];
  readonly curves: readonly StudyCurve[];
  readonly device?: string;
}

/** A study folder that can't be read. */
export interface UnreadableStudy {
  readonly directory: string;
  readonly id: string;
  readonly reason: string;
}
