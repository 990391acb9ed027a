// What a run is called for how it learned and what it saw.
import type { Localiser } from '../protocol/localiser.js';
import type { RunRecord } from '../protocol/run.js';

/** `freeze`; of a run on gray images `freeze gray`. */
export function strategyName({ strategy, colour }: Pick<RunRecord['configuration'], 'strategy' | 'colour'>, l10n: Localiser): string {
  switch (colour) {
    case 'rgb': return strategy;
    case 'gray': return l10n.t('{0} gray', strategy);
  }
}
