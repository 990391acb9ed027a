// docs/study.md, by one command: npm run bench:study -- [FOLDER…] [--minutes M] [--seeds N] [--strategies freeze,finetune] [--colour rgb,gray] [--document study|recipes] [--table]
// Runs the study on the folders (by default the sample of emoji), in colour and in gray, with ResNet18 if its weights are at hand, else EfficientNet-Lite0;
// its runs are kept in .bench/study, so that the same command goes on after any interruption, and another takes up what it needs of them. Then writes
// docs/study.json, the summary, and the tables; or those of docs/recipes.md, which are Thaw's default network's. `--table` makes the tables anew and trains nothing.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as v from 'valibot';
import { findWeights } from '../src/network/weights/cache.js';
import { isUnreadableStudy, readStudySnapshot } from '../src/study/snapshot.js';
import { STUDY_DOCUMENTS, studyDocument, studySummarySchema, summaryOf } from './studyDocument.js';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { minutes: { type: 'string', default: '120' }, seeds: { type: 'string', default: '10' }, strategies: { type: 'string', default: 'freeze,finetune' }, colour: { type: 'string', default: 'rgb,gray' }, document: { type: 'string', default: 'study' }, table: { type: 'boolean', default: false } } });
  const document = STUDY_DOCUMENTS.find((name) => name === values.document);
  if (document === undefined) throw new Error(`--document is one of ${STUDY_DOCUMENTS.join(', ')}`);
  const file = path.resolve('docs', `${document}.md`);
  const summaryFile = path.resolve('docs', `${document}.json`);
  if (values.table) {
    writeFileSync(file, studyDocument(readFileSync(file, 'utf8'), v.parse(studySummarySchema, JSON.parse(readFileSync(summaryFile, 'utf8'))), document));
    return;
  }
  const folders = positionals.length > 0 ? positionals : [path.resolve('.sample', 'emoji')];
  const backbone = document === 'recipes' || findWeights('resnet18') === undefined ? 'efficientnet_lite0' : 'resnet18';
  const study = await execute([...folders, '--backbones', backbone, '--seeds', values.seeds, '--minutes', values.minutes, '--strategies', values.strategies, '--colour', values.colour, '--runs', path.resolve('.bench', 'study')]);
  const snapshot = await readStudySnapshot(study);
  if (isUnreadableStudy(snapshot)) throw new Error(`${study}: ${snapshot.reason}`);
  const summary = summaryOf(snapshot);
  writeFileSync(summaryFile, `${JSON.stringify(summary, undefined, 1)}\n`);
  writeFileSync(file, studyDocument(existsSync(file) ? readFileSync(file, 'utf8') : '', summary, document));
  process.stdout.write(`${file}\n`);
}

/** Runs `thaw study`; returns the study's folder. */
function execute(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.resolve('dist', 'cli.js'), 'study', ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const parsed = JSON.parse(line) as { type: string; study?: string };
        if (['estimate', 'trimmed', 'run', 'cell', 'failed', 'left-out'].includes(parsed.type)) process.stdout.write(`${line}\n`);
        if (parsed.type === 'result' && parsed.study !== undefined) resolve(parsed.study);
      }
    });
    child.once('error', reject);
    child.once('close', (code) => { reject(new Error(`thaw study ended with ${String(code)} and no result`)); });
  });
}

void main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
