// Advice before training: what was measured of a dataset, and what follows for the strategy. `thaw advise --json` ends with it, the panel draws it.
import * as v from 'valibot';
import { BACKBONES, COLOURS, OWN_WEIGHTS } from './run.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const finite = v.pipe(v.number(), v.finite());
const text = v.pipe(v.string(), v.maxLength(4096));

/** `no-difference`: none is to be expected, so the cheaper of the two, freeze. */
export const RECOMMENDATIONS = ['freeze', 'finetune', 'no-difference'] as const;
export type Recommendation = (typeof RECOMMENDATIONS)[number];

export const CONFIDENCES = ['high', 'moderate', 'low'] as const;
export type AdviceConfidence = (typeof CONFIDENCES)[number];

/** Right answers of so many, with Wilson's 95 % interval. */
const proportion = v.object({ accuracy: share, correct: count, total: count, interval: v.tuple([share, share]) });
export type Proportion = v.InferOutput<typeof proportion>;

/** A mean over images with its 95 % interval. */
const mean = v.object({ mean: finite, interval: v.tuple([finite, finite]) });

/** A few epochs of finetune against freeze, both on the validation images. */
const pilot = v.object({
  epochs: count, trained: count, freeze: proportion, finetune: proportion, onlyFreezeRight: count, onlyFinetuneRight: count,
  /** McNemar's exact test, two-sided. */
  p: share,
  seconds: positive,
});
export type Pilot = v.InferOutput<typeof pilot>;

const measurements = v.object({
  classes: count,
  train: count,
  validation: count,
  /** Training images of a class. */
  perClass: v.object({ least: count, median: positive, most: count }),
  /** Training images that were measured: a stratified sample, where there are many. */
  measured: count,
  /** Cross-validated on training images, as the next two. */
  probe: proportion,
  nearestMean: proportion,
  /** The probe trained on a quarter, half and all of each fold's training images. */
  learningCurve: v.array(v.object({ share, ...proportion.entries })),
  /** How sure the network's own head is of these images: mean of the highest probability. Absent for weights that aren't ImageNet's. */
  headConfidence: v.optional(mean),
  /** The same on the scale from noise, 0, to photographs, 1. Absent where no reference was measured for these weights. */
  nearness: v.optional(v.object({ ...mean.entries, photographs: share, noise: share })),
  /** Of each network whose weights are here, at the end of each stage. */
  logme: v.array(v.object({ backbone: v.picklist(BACKBONES), images: count, cuts: v.array(v.object({ node: text, stride: count, channels: count, logme: finite })) })),
  /** Networks whose weights are here, too, and for which there was no time. */
  notCompared: v.optional(v.array(v.picklist(BACKBONES))),
  pilot: v.optional(pilot),
  /** By the default recipe, with what is cached by now. */
  seconds: v.object({ freeze: positive, finetune: positive }),
});
export type Measurements = v.InferOutput<typeof measurements>;

/** How the rule came to it: src/advice/rule.ts. */
const decision = v.object({
  recommendation: v.picklist(RECOMMENDATIONS),
  confidence: v.picklist(CONFIDENCES),
  /** Why it isn't sure: the measurements' noise; datasets like this one differed; half or twice as many images would change it; a pilot says otherwise; a pilot is short. */
  doubt: v.optional(v.picklist(['noise', 'evidence', 'size', 'pilot', 'short-pilot'])),
  size: v.picklist(['small', 'large']),
  /** `unknown`: the weights have no reference. */
  distance: v.picklist(['near', 'far', 'unknown']),
  because: v.picklist(['ceiling', 'nothing-to-gain', 'too-few-to-tell', 'gain', 'pilot']),
  /** Share of freeze's errors that finetune is expected to remove. */
  errorsRemoved: share,
  /** Validation images that finetune is expected to get right beyond freeze. */
  expectedImages: positive,
});
export type Decision = v.InferOutput<typeof decision>;

export const adviceSchema = v.object({
  schemaVersion: v.literal(1),
  dataset: v.object({ name: text, /** Absolute. */ path: text }),
  network: v.object({ backbone: v.picklist(BACKBONES), weights: v.optional(v.pipe(v.string(), v.regex(OWN_WEIGHTS))), colour: v.picklist(COLOURS) }),
  device: text,
  recommendation: v.picklist(RECOMMENDATIONS),
  /** One sentence, in English. */
  reason: text,
  confidence: v.picklist(CONFIDENCES),
  /** Of the recommended strategy, by the default recipe. */
  minutes: positive,
  decision,
  measurements,
  /** Seconds that the advice itself took. */
  seconds: positive,
});
export type Advice = v.InferOutput<typeof adviceSchema>;
