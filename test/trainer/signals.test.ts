// Signals that arrive while TensorFlow computes: Ctrl-C, the end of a child process, a resized terminal. They must harm neither memory nor numbers.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { buildChild, temporaryFolder } from './thaw.js';

test('signals that arrive while TensorFlow computes are handled after it, and what it computes stays the same', async (context) => {
  const child = spawn(process.execPath, [await buildChild('signalsChild', temporaryFolder(context)), '1500'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  let sending: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (stdout.startsWith('ready\n')) sending ??= setInterval(() => { child.kill('SIGUSR2'); }, 2);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => { child.once('close', (...ended) => { resolve(ended); }); });
  clearInterval(sending);
  assert.deepEqual([code, signal], [0, null], stderr);
  const { different, signals } = JSON.parse(stdout.split('\n')[1] ?? '') as { different: number; signals: number };
  assert.equal(different, 0);
  assert.ok(signals >= 20, `${signals} signals`);
});
