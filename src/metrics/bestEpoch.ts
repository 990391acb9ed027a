// Which epoch is kept.

interface ValidationScore {
  readonly accuracy: number;
  readonly loss: number;
}

/** Whether a score beats the best so far: higher accuracy, then lower loss; a full tie keeps the earlier. */
export function isBetter(candidate: ValidationScore, best: ValidationScore | undefined): boolean {
  if (best === undefined) return true;
  return candidate.accuracy === best.accuracy ? candidate.loss < best.loss : candidate.accuracy > best.accuracy;
}

/** Index of the epoch that is best by `isBetter`. Undefined when there is none. */
export function bestEpochIndex(epochs: readonly { readonly validation: ValidationScore }[]): number | undefined {
  let best: number | undefined;
  for (const [index, { validation }] of epochs.entries()) {
    if (isBetter(validation, best === undefined ? undefined : epochs[best]?.validation)) best = index;
  }
  return best;
}
