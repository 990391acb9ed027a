// docs/study.md, and the bars of docs/recipes.md: tables made of the committed summary of a study, so that they can be rebuilt without training anything again.
import * as v from 'valibot';
import { ENGLISH } from '../src/protocol/localiser.js';
import { studyRecordSchema, type StudySnapshot } from '../src/protocol/study.js';
import { exportStudy } from '../src/study/export.js';
import { estimatedSeconds } from '../src/study/plan.js';

/** Documents of docs/ that hold a study's tables; the summary lies beside each, by the same name. */
export const STUDY_DOCUMENTS = ['study', 'recipes'] as const;
export type StudyDocument = (typeof STUDY_DOCUMENTS)[number];

const END = '<!-- To here. -->';

/** What such a summary holds: what the tables are made of, and no path of the machine. */
export const studySummarySchema = v.strictObject({
  record: studyRecordSchema,
  datasets: v.array(v.nullable(v.strictObject({ train: v.number(), validation: v.number(), test: v.number(), classes: v.number() }))),
  device: v.nullable(v.string()),
});
export type StudySummary = v.InferOutput<typeof studySummarySchema>;

export function summaryOf({ record, datasets, device }: StudySnapshot): StudySummary {
  const plan = { ...record.plan, datasets: record.plan.datasets.map(({ name }) => ({ name, path: name, runs: 'runs' })) };
  const { failure: _failure, ...rest } = record; // what went wrong may name files
  const runs = record.runs.map(({ failure: _reason, ...run }) => run);
  return { record: { ...rest, plan, runs }, datasets: datasets.map((dataset) => dataset ?? null), device: device ?? null };
}

export function snapshotOf({ record, datasets, device }: StudySummary): StudySnapshot {
  return { directory: '', record, state: record.state, datasets: datasets.map((dataset) => dataset ?? undefined), curves: [], ...(device !== null && { device }) };
}

/** The document with its tables made anew; what people wrote around them stays. */
export function studyDocument(document: string, summary: StudySummary, name: StudyDocument = 'study'): string {
  const begin = `<!-- The lines from here on are made by \`npm run bench:study\`, of ${name}.json. -->`;
  const study = snapshotOf(summary);
  const finished = summary.record.runs.filter(({ state }) => state === 'finished');
  const own = finished.filter(({ takenUp }) => takenUp !== true);
  const minutes = Math.round(own.reduce((sum, run) => sum + (run.seconds ?? 0), 0) / 60);
  // Of these runs alone: what was left out was estimated too.
  const estimated = own.some((run) => run.estimatedSeconds === undefined) ? undefined : estimatedSeconds(own);
  const made = [
    begin, '', exportStudy(study, 'markdown', { l10n: ENGLISH, reference: true }).trimEnd(),
    `${summary.device ?? ''}. ${own.length} runs, ${minutes} minutes${estimated === undefined ? '' : `, of which the estimate had said ${Math.round(estimated / 60)}`}${finished.length > own.length ? `; ${finished.length - own.length} more were taken up from an earlier study` : ''}.`, '', END,
  ].join('\n');
  const [from, to] = [document.indexOf(begin), document.indexOf(END)];
  if (from < 0 || to < from) return `${document === '' ? '# The study, repeated' : document.trimEnd()}\n\n${made}\n`;
  return document.slice(0, from) + made + document.slice(to + END.length);
}
