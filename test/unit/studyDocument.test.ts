// The tables that are made of studies can be rebuilt from their committed summaries, and hold no path of the machine that made them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { STUDY_DOCUMENTS, studyDocument, studySummarySchema, summaryOf } from '../../bench/studyDocument.js';
import { makeStudySnapshot } from '../harness/studies.js';

test('a summary makes the tables again, whatever stands around them', () => {
  const study = makeStudySnapshot({ state: 'finished' });
  const dataset = { ...study.record.plan.datasets[0]!, path: '/home/somebody/pictures', runs: '/home/somebody/runs' };
  const summary = summaryOf({ ...study, record: { ...study.record, plan: { ...study.record.plan, datasets: [dataset, study.record.plan.datasets[1]!] } } });
  const stored = JSON.stringify(summary);
  assert.ok(!stored.includes('somebody'));
  const read = v.parse(studySummarySchema, JSON.parse(stored));
  const first = studyDocument('', read);
  assert.match(first, /\| Hymenoptera \(244 train, 150 val, 2 classes\) \| \.960 \[\.927–\.987\] \/ \.961 \|/);
  assert.equal(studyDocument(first, read), first);
  const written = first.replace('# The study, repeated', '# The study\n\nWords of a person.').trimEnd() + '\n\nMore words.\n';
  assert.equal(studyDocument(written, read), written);
  assert.notEqual(studyDocument(written.replace('.960', '.999'), read).includes('.999'), true);
});

test('the time that the runs took stands beside what these were estimated to take, not those left out', () => {
  const { record, ...study } = makeStudySnapshot({ state: 'finished', done: 8 });
  const runs = record.runs.map((run) => ({ ...run, estimatedSeconds: 60, ...(run.state === 'finished' ? { seconds: 90 } : { state: 'leftOut' as const }) }));
  const made = (some: typeof runs): string => studyDocument('', summaryOf({ ...study, record: { ...record, runs: some, estimate: { seconds: 1440, device: 'CPU' } } }));
  assert.match(made(runs), / 8 runs, 12 minutes, of which the estimate had said 8\.\n/);
  assert.match(made(runs.map(({ estimatedSeconds, ...run }, index) => (index === 0 ? run : { ...run, estimatedSeconds })) as typeof runs), / 8 runs, 12 minutes\.\n/);
});

for (const name of STUDY_DOCUMENTS) {
  test(`docs/${name}.md is what its summary makes`, () => {
    const read = (end: string): string => readFileSync(path.join(process.cwd(), 'docs', `${name}.${end}`), 'utf8');
    assert.equal(studyDocument(read('md'), v.parse(studySummarySchema, JSON.parse(read('json'))), name), read('md'));
  });
}
