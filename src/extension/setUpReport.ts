// What `thaw doctor` found, as a page to read and to copy into a report. No `vscode`.
import * as v from 'valibot';
import type { Localiser } from '../protocol/localiser.js';
import { translateRecorded } from '../protocol/recordedText.js';

export const doctorSchema = v.object({
  checks: v.array(v.object({ name: v.string(), state: v.picklist(['ok', 'warning', 'missing']), detail: v.string(), setUpBrings: v.optional(v.boolean()) })),
});
export type DoctorReport = v.InferOutput<typeof doctorSchema>;

/** One line a check, the names in a column; then what to do, if something is missing. */
export function describeSetUp(report: DoctorReport, l10n: Localiser): string {
  const checks = report.checks.map(({ name, state, detail }) => ({ name: translateRecorded(name, l10n), state, detail: translateRecorded(detail, l10n) }));
  const words = { ok: l10n.t('ok'), warning: l10n.t('warning'), missing: l10n.t('missing') };
  const nameWidth = Math.max(0, ...checks.map(({ name }) => name.length));
  const wordWidth = Math.max(...Object.values(words).map((word) => word.length));
  const lines = checks.map(({ name, state, detail }) => `${name.padEnd(nameWidth)}  ${words[state].padEnd(wordWidth)}  ${detail}`.trimEnd());
  const missing = report.checks.filter(({ state }) => state === 'missing');
  const end = missing.length === 0 ? l10n.t('Nothing is missing.')
    : missing.every(({ setUpBrings }) => setUpBrings === true) ? l10n.t('Missing: {0}. Run "Thaw: Set Up Engine" from the command palette.', missing.length)
    : l10n.t('Missing: {0}. What to do stands in its line.', missing.length);
  return `${l10n.t('Thaw set-up')}\n\n${lines.join('\n')}\n\n${end}\n`;
}
