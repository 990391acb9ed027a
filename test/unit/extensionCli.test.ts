// The jobs that the window waits for, run as child processes: what they report, how they fail, how they are cancelled.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { runCli, type CliInstallation } from '../../src/extension/cliProcess.js';
import { ThawError } from '../../src/protocol/errors.js';

let folder = '';
before(() => { folder = mkdtempSync(path.join(tmpdir(), 'thaw-cli-')); });
after(() => rmSync(folder, { recursive: true, force: true }));

function installation(script: string): CliInstallation {
  const cliScript = path.join(folder, `${script.length}-${Math.abs(script.split('').reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 7))}.js`);
  writeFileSync(cliScript, script);
  return {
    cliScript, execPath: process.execPath, electron: false,
    environment: () => ({ PATH: process.env['PATH'], THAW_HOME: path.join(folder, 'home'), NODE_OPTIONS: '--no-such-option', VSCODE_PID: '1', SECRET: 'x' }),
  };
}

test('passes on lines and returns the last, in the cache folder and with nothing of the editor in the environment', async () => {
  const script = 'console.log(JSON.stringify({ type: "progress" })); console.log("noise"); console.log(JSON.stringify({ cwd: process.cwd(), names: Object.keys(process.env), args: process.argv.slice(2) }))';
  const lines: unknown[] = [];
  const last = await runCli(installation(script), { arguments: ['setup', '--json'], onLine: (line) => lines.push(line) }) as { cwd: string; names: string[]; args: string[] };
  assert.deepEqual(lines[0], { type: 'progress' });
  assert.equal(lines.length, 2);
  assert.equal(path.basename(last.cwd), 'home');
  assert.deepEqual(last.args, ['setup', '--json']);
  assert.deepEqual(last.names.filter((name) => ['NODE_OPTIONS', 'VSCODE_PID', 'SECRET'].includes(name)), []);
  assert.ok(last.names.includes('THAW_HOME'));
});

test('a failure that the job reports is thrown as reported', async () => {
  const script = 'console.log(JSON.stringify({ type: "error", code: "no-network", message: "No way out", next: "Plug it in" })); process.exitCode = 3';
  await assert.rejects(runCli(installation(script), { arguments: ['setup'] }), (error) => error instanceof ThawError && error.kind === 'engine' && error.code === 'no-network' && error.next === 'Plug it in');
});

test('another failure carries what the job said last', async () => {
  const script = 'console.error("first"); console.error("it broke"); process.exitCode = 1';
  const said: string[] = [];
  await assert.rejects(runCli(installation(script), { arguments: ['estimate'], onDiagnostic: (line) => said.push(line) }), /thaw estimate ended with exit code 1: first it broke/);
  assert.deepEqual(said, ['first', 'it broke']);
});

test('an exit code can be a finding', async () => {
  const script = 'console.log(JSON.stringify({ checks: [] })); process.exitCode = 3';
  assert.deepEqual(await runCli(installation(script), { arguments: ['doctor'], accept: [0, 3] }), { checks: [] });
});

test('cancelling ends the job', async () => {
  const aborted = new AbortController();
  const running = runCli(installation('console.log("{}"); setInterval(() => {}, 1000)'), { arguments: ['setup'], signal: aborted.signal, onLine: () => aborted.abort() });
  await assert.rejects(running, (error) => error === aborted.signal.reason);
});
