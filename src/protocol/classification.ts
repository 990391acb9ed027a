// Images classified by a run's network: what `thaw predict --json` prints a line at a time, and what the panel draws.
import * as v from 'valibot';
import type { RunRecord } from './run.js';

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

/** A line of `thaw predict --json`. */
export const predictionLineSchema = v.variant('type', [
  v.object({
    type: v.literal('prediction'),
    /** Absolute. */
    path: v.string(),
    /** The most probable class first, at most five. */
    top: v.pipe(v.array(v.object({ label: v.string(), probability: share })), v.minLength(1)),
    /** JPEG, base64. */
    thumbnail: v.optional(v.pipe(v.string(), v.maxLength(200_000), v.regex(/^[A-Za-z0-9+/]+=*$/))),
  }),
  v.object({ type: v.literal('unreadable'), path: v.string(), reason: v.string() }),
]);
export type PredictionLine = v.InferOutput<typeof predictionLineSchema>;

export interface Classification {
  /** `freeze on hymenoptera` */
  readonly run: string;
  /** Absolute path of the run folder. */
  readonly directory: string;
  /** `.954 [.909–.978], 146 of 153 right` */
  readonly score: string;
  readonly network: Pick<RunRecord['configuration'], 'backbone' | 'weights'>;
  /** In the order asked for; `name` is for people, unlike `path`. */
  readonly images: readonly (PredictionLine & { readonly name: string })[];
}
