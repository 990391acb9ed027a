// Two or more runs beside each other: what Compare draws and `thaw compare` prints.
import type { RunSnapshot } from './snapshot.js';

/** Two runs on the same scored images, image by image. */
export interface PairedTest {
  readonly first: string;
  readonly second: string;
  readonly images: number;
  readonly bothRight: number;
  readonly onlyFirstRight: number;
  readonly onlySecondRight: number;
  readonly bothWrong: number;
  /** Exact two-sided McNemar. */
  readonly p: number;
  /** After Holm's correction over the pairs shown. */
  readonly pHolm: number;
}

/** A pair that can't be tested, and why, in one sentence. */
export interface UntestedPair {
  readonly first: string;
  readonly second: string;
  readonly reason: string;
}

export interface Comparison {
  /** As asked for, the best accuracy first; runs without a result last. */
  readonly runs: readonly RunSnapshot[];
  readonly pairs: readonly (PairedTest | UntestedPair)[];
  readonly verdict: Verdict;
}

export interface Verdict {
  /** `No detectable difference between freeze and finetune`. */
  readonly title: string;
  /** Paragraphs of plain text. */
  readonly body: readonly string[];
  readonly note?: string;
}
