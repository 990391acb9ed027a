// Pretrained weights as rows to choose from. Words only, no `vscode`.
import * as v from 'valibot';
import { formatAccuracy, formatBytes, formatCount } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';
import { BACKBONES } from '../protocol/run.js';
import { plainName, plainText } from './plainText.js';

/** What `thaw weights list --json` prints, as far as it is shown. */
export const weightsListSchema = v.array(v.object({
  name: v.string(),
  title: v.string(),
  backbone: v.picklist(BACKBONES),
  present: v.boolean(),
  bytes: v.number(),
  licence: v.nullable(v.string()),
  source: v.string(),
  own: v.boolean(),
  classes: v.number(),
  top1: v.nullable(v.object({ accuracy: v.number(), source: v.string() })),
}));
export type ListedWeights = v.InferOutput<typeof weightsListSchema>[number];

export interface WeightsRow {
  readonly label: string;
  readonly description: string;
  readonly detail: string;
}

/** `ResNet18, ImageNet` · `on this machine` · `44.7 MiB, BSD-3-Clause, top-1 .698 on ImageNet` */
export function weightsRow({ name, title, present, bytes, licence, own, classes, source, top1 }: ListedWeights, l10n: Localiser): WeightsRow {
  const state = present ? l10n.t('on this machine') : own ? l10n.t('its file is gone or has changed') : l10n.t('not fetched yet');
  const facts = own
    ? [formatBytes(bytes), classes === 1 ? l10n.t('1 class') : l10n.t('{0} classes', formatCount(classes)), l10n.t('from {0}', plainName(source))]
    : [formatBytes(bytes), ...(licence === null ? [] : [plainName(licence)]), ...(top1 === null ? [] : [l10n.t('top-1 {0} on ImageNet', formatAccuracy(top1.accuracy))])];
  return { label: `$(${present ? 'check' : own ? 'warning' : 'cloud-download'}) ${own ? plainName(name) : plainName(title)}`, description: state, detail: plainText(facts.join(', ')) };
}
