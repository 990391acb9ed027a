// The trainer process: started detached by the editor on a run folder that is ready, it trains and leaves the result there.
//   trainer.js --run DIRECTORY --nonce NONCE     trains; its output, trainer.log, says in plain lines what it does
//   trainer.js --study DIRECTORY --nonce NONCE   executes a study, one run after the other
//   trainer.js --self-check                      one convolution on the engine, as this very binary would run it
//   trainer.js --sample-gpu UUID                 how busy and how full a GPU is, as JSON lines, while standard input is open
//   trainer.js --prove FILE [--timed]            the operations of training on one device, their values into FILE: see gpuProof.ts
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkEngine } from '../engine/selfCheck.js';
import { EXIT, ThawError } from '../protocol/errors.js';
import { printableError } from '../protocol/printable.js';
import { RunWriter } from '../runs/runWriter.js';
import { datasetFolder } from '../runs/datasetFolder.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { StudyWriter } from '../study/studyFolder.js';
import { ProgressLine } from './commands/progressLine.js';
import { showStudyEvent } from './commands/study.js';
import { computeForProof } from './gpuProof.js';
import { sampleToOutput } from './gpuSampler.js';
import { runStudy } from './study.js';
import { train } from './train.js';

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { run: { type: 'string' }, study: { type: 'string' }, nonce: { type: 'string' }, 'self-check': { type: 'boolean' }, 'sample-gpu': { type: 'string' }, prove: { type: 'string' }, timed: { type: 'boolean', default: false } } });
  if (values['self-check'] === true) {
    process.stdout.write(`${JSON.stringify(await checkEngine())}\n`);
    return EXIT.done;
  }
  if (values['sample-gpu'] !== undefined) {
    await sampleToOutput(values['sample-gpu'], process.env);
    return EXIT.done;
  }
  if (values.prove !== undefined) {
    await writeFileAtomic(path.resolve(values.prove), JSON.stringify(await computeForProof(process.env, values.timed)));
    return EXIT.done;
  }
  const { run, study, nonce } = values;
  if (study !== undefined && nonce !== undefined) return executeStudy(path.resolve(study), nonce);
  if (run === undefined || nonce === undefined) throw new ThawError('input', 'bad-arguments', 'The trainer was started without a run folder', 'Start training from the editor, or with `thaw train`');

  const stopRequested = stopBySignal();
  const writer = await RunWriter.open(path.resolve(run), { nonce });
  try {
    const log = timedLog();
    const record = await train(writer, {
      dataset: datasetFolder(writer.directory, writer.record), environment: process.env, stopRequested, onEvent: (event) => log.show(event),
    });
    return record.state === 'stopped' ? EXIT.stopped : EXIT.done;
  } finally {
    await writer.close();
  }
}

async function executeStudy(directory: string, nonce: string): Promise<number> {
  const stopRequested = stopBySignal();
  const writer = await StudyWriter.open(directory, { nonce });
  try {
    const log = timedLog();
    const record = await runStudy(writer, { nonce, environment: process.env, stopRequested, onEvent: (event) => { showStudyEvent(event, writer.record, log); } });
    return record.state === 'stopped' ? EXIT.stopped : record.runs.some(({ state }) => state === 'failed') ? EXIT.failed : EXIT.done;
  } finally {
    await writer.close();
  }
}

function stopBySignal(): () => boolean {
  let stop = false;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => { stop = true; });
  return () => stop;
}

function timedLog(): ProgressLine {
  return new ProgressLine({ write: (text: string) => process.stdout.write(`${new Date().toISOString().slice(11, 19)}  ${text}`) });
}

main().then(
  (code) => { process.exitCode = code; },
  (error: unknown) => {
    process.stderr.write(printableError(error));
    process.exitCode = error instanceof ThawError ? { input: EXIT.badInput, engine: EXIT.engineNotReady, run: EXIT.failed }[error.kind] : EXIT.failed;
  },
);
