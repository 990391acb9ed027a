// A stand-in for the trainer in a process of its own: it does what the trainer does to the run folder and the device's line, without an engine.
//   runChild.cjs train DIRECTORY HOW --nonce NONCE    HOW: obedient | slow | unhurried | deaf | stubborn
//   runChild.cjs queue DEVICE HOLD_MS LOG         HOLD_MS 0: until SIGUSR2
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { waitForDevice } from '../../src/runs/deviceQueue.js';
import { RunWriter } from '../../src/runs/runWriter.js';
import { makeEpoch } from './runRecords.js';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function train(directory: string, how: string, nonce: string): Promise<void> {
  // `slow` and `obedient` end at a signal by Node's default; `stubborn` doesn't.
  if (how === 'stubborn') process.on('SIGTERM', () => say('SIGTERM'));
  const writer = await RunWriter.open(directory, { nonce });
  await writer.update({ state: 'running' });
  if (how === 'unhurried') {
    // Batches of 1.5 s, between which it looks.
    const batch = 1.5;
    writer.event({ type: 'step', time: Date.now(), epoch: 1, step: 1, steps: 9, loss: 1, imagesPerSecond: 16 / batch });
    await writer.update({ state: 'running' });
    say('open');
    do await delay(1000 * batch); while (!writer.stopRequested());
    await writer.update({ state: 'stopped' });
    await writer.close();
    return;
  }
  say('open');
  for (let epoch = 1; ; epoch++) {
    writer.event(makeEpoch(Math.min(epoch, 15)));
    await delay(20);
    if (how === 'obedient' && writer.stopRequested()) break;
    if (how === 'slow' && writer.stopRequested()) {
      await delay(4000);
      break;
    }
  }
  await writer.update({ state: 'stopped' });
  await writer.close();
  say('closed');
}

async function queue(device: string, holdMs: number, log: string): Promise<void> {
  const told = new Promise<void>((resolve) => process.once('SIGUSR2', resolve));
  const lease = await waitForDevice(device, { onPosition: (ahead) => say(`ahead ${ahead}`), stopRequested: () => false, pollMs: 30 });
  say('has it');
  // Whoever else writes in between had it too.
  appendFileSync(log, `+${process.pid}\n`);
  if (holdMs > 0) {
    await delay(holdMs);
  } else {
    const alive = setInterval(() => undefined, 1000);
    await told;
    clearInterval(alive);
  }
  appendFileSync(log, `-${process.pid}\n`);
  await lease?.release();
  say('released');
}

const [mode, subject = '', third = '', fourth = '', fifth = ''] = process.argv.slice(2);
if (mode === 'train') void train(subject, third, fifth);
else void queue(subject, Number(third), fourth);
