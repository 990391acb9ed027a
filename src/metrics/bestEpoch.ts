// Which epoch is kept.

/** Index of the epoch with the highest validation accuracy; a tie goes to the lower loss, then to the earlier. Undefined when there is none. */
export function bestEpochIndex(epochs: readonly { readonly validation: { readonly accuracy: number; readonly loss: number } }[]): number | undefined {
  let best: number | undefined;
  for (const [index, { validation }] of epochs.entries()) {
    const leader = best === undefined ? undefined : epochs[best]?.validation;
    if (leader === undefined || validation.accuracy > leader.accuracy || (validation.accuracy === leader.accuracy && validation.loss < leader.loss)) best = index;
  }
  return best;
}
