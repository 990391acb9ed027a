// Advice in words, from what was measured and decided: for the terminal, the panel and the JSON alike.
import { formatAccuracy, formatCount, formatInterval, formatP, formatShare } from '../metrics/format.js';
import type { Advice, Decision, Measurements, Proportion } from '../protocol/advice.js';
import type { Localiser } from '../protocol/localiser.js';
import { errorsRemovedBy, MOST_REMOVED, TELLING_IMAGES, type Distance, type Size } from './rule.js';

type Decided = Pick<Advice, 'decision' | 'measurements'>;

/** `Freeze`, in a few words. */
export function recommendationTitle({ recommendation }: Decision, l10n: Localiser): string {
  switch (recommendation) {
    case 'freeze': return l10n.t('Train with freeze');
    case 'finetune': return l10n.t('Train with finetune');
    case 'no-difference': return l10n.t('No difference to be expected: freeze is quicker');
  }
}

/** One sentence, with the numbers that decided. */
export function reasonText({ decision, measurements }: Decided, l10n: Localiser): string {
  const { probe, validation, train, pilot } = measurements;
  const accuracy = accuracyText(probe);
  switch (decision.because) {
    case 'ceiling':
      return l10n.t('A linear classifier on the features is right on {0} already: finetune would get at most about {1} more of {2} validation images right, and it takes {3} to tell that from chance.',
        accuracy, formatCount(MOST_REMOVED * (1 - probe.accuracy) * validation), formatCount(validation), TELLING_IMAGES);
    case 'nothing-to-gain':
      return l10n.t('With {0} training images, {1}, finetune has not been seen to gain on freeze beyond chance, and a linear classifier on the features reaches {2}.',
        formatCount(train), distanceClause(measurements, decision.distance, l10n), accuracy);
    case 'too-few-to-tell':
      return l10n.t('finetune may get about {0} more of {1} validation images right, and it takes {2} to tell that from chance; a linear classifier on the features reaches {3}.',
        formatCount(decision.expectedImages), formatCount(validation), TELLING_IMAGES, accuracy);
    case 'gain':
      return l10n.t('A linear classifier on the features reaches {0}; on datasets like this one ({1} training images, {2}) finetune has removed {3} to {4} of such errors.',
        accuracy, formatCount(train), distanceClause(measurements, decision.distance, l10n), formatShare(errorsRemovedBy(decision).least), formatShare(errorsRemovedBy(decision).most));
    case 'pilot':
      return pilot === undefined ? '' : l10n.t('In a pilot of {0} epochs finetune was right on {1} of the validation images and freeze on {2} ({3}).',
        pilot.epochs, accuracyText(pilot.finetune), accuracyText(pilot.freeze), formatP(pilot.p));
  }
}

/** How sure, and why: a sentence. */
export function confidenceText({ confidence, doubt, because }: Decision, l10n: Localiser): string {
  switch (doubt) {
    case 'noise': return l10n.t('Unsure: within the measurements\' noise it could be another. A pilot tells more.');
    case 'evidence': return l10n.t('Unsure: on such datasets finetune has gained much in one case and nothing in another. A pilot tells more.');
    case 'size': return l10n.t('Fairly sure: it might be another with half or twice as many images.');
    case 'pilot': return l10n.t('Unsure: in the pilot finetune was not better.');
    case 'short-pilot': return l10n.t('Fairly sure: the pilot\'s difference is beyond chance, but a pilot is short, and finetune can gain late.');
    case undefined: break;
  }
  if (confidence !== 'high') return l10n.t('Unsure.'); // advice kept by an earlier version
  return because === 'pilot' ? l10n.t('Sure: the pilot\'s difference is beyond chance.')
    : l10n.t('Sure: neither the measurements\' noise nor half or twice as many images would change it.');
}

/** `.954 [.909–.978]` */
export function accuracyText({ accuracy, interval }: Pick<Proportion, 'accuracy' | 'interval'>): string {
  return `${formatAccuracy(accuracy)} ${formatInterval(interval)}`;
}

function distanceClause({ nearness }: Measurements, distance: Distance, l10n: Localiser): string {
  switch (distance) {
    case 'near': return l10n.t('near to ImageNet (nearness {0})', formatNearness(nearness?.mean));
    case 'far': return l10n.t('far from ImageNet (nearness {0})', formatNearness(nearness?.mean));
    case 'unknown': return l10n.t('how near to ImageNet is not known');
  }
}

/** On the scale from noise, 0, to photographs, 1: two decimals. */
export function formatNearness(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(2).replace('-', '−').replace(/^(−?)0\./, '$1.');
}

/** The rules of thumb, as the literature gives them (Karpathy, CS231n notes on transfer learning): what to do in each quarter. */
export function ruleOfThumb(size: Size, distance: Exclude<Distance, 'unknown'>, l10n: Localiser): { readonly place: string; readonly rule: string } {
  if (size === 'small') {
    return distance === 'near' ? { place: l10n.t('small, near'), rule: l10n.t('freeze: too few images to finetune without overfitting') }
      : { place: l10n.t('small, far'), rule: l10n.t('freeze, from an earlier layer if there is one: the hardest case') };
  }
  return distance === 'near' ? { place: l10n.t('large, near'), rule: l10n.t('finetune: enough images not to overfit') }
    : { place: l10n.t('large, far'), rule: l10n.t('finetune: every layer has something to learn') };
}
