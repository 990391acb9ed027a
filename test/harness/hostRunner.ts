// Runs the mocha suite inside the extension host of a real VS Code, as @vscode/test-electron does on a desktop.
//   node out/harness/hostRunner.cjs --host 1.139 --tests out/host/hostSuite.cjs --workspace FOLDER --results FILE
// Appends `{ outcome, name }` for each test to the results file, as scripts/testReporter.mjs does.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { format, parseArgs } from 'node:util';
import { launchBrowser } from './browser.js';
import type { HostEvent } from './hostSuite.js';
import { startServer } from './server.js';

const TIMEOUT = 300_000;

interface Outcome {
  readonly events: readonly HostEvent[];
  /** Why the run does not count as passed, in one sentence. */
  readonly problem: string | undefined;
  /** Warnings and errors that VS Code and the tests wrote. */
  readonly log: string;
}

async function runInHost(options: { host: string; tests: string; workspace: string }): Promise<Outcome> {
  const server = await startServer({ host: options.host, testDriver: true });
  try {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      const log: string[] = [];
      await page.exposeFunction('codeAutomationLog', (type: string, args: unknown[]) => {
        if (type !== 'info') log.push(format(...args));
      });
      const ended = new Promise<unknown>((resolve) => { // VS Code calls it when run() settles, or when the host dies
        void page.exposeFunction('codeAutomationExit', resolve);
      });
      const remote = (file: string): string => `vscode-remote://127.0.0.1:${server.port}${path.resolve(file)}`;
      const payload = JSON.stringify([['extensionDevelopmentPath', remote('.')], ['extensionTestsPath', remote(options.tests)]]);
      await page.goto(`${server.url}/?${new URLSearchParams({ folder: path.resolve(options.workspace), payload }).toString()}`, { waitUntil: 'commit', timeout: TIMEOUT });
      const end = await Promise.race([ended, server.exited.then(() => 'server ended'), delay(TIMEOUT, 'timeout', { ref: false })]);
      const events = readEvents(server.testResults);
      return { events, problem: findProblem(events, String(end)), log: log.join('\n') };
    } finally {
      await browser.close();
    }
  } finally {
    await server.stop();
  }
}

function readEvents(file: string): HostEvent[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as HostEvent);
}

/** VS Code reports exit code 0 even for an extension host that crashed, so only the suite's own words count. */
function findProblem(events: readonly HostEvent[], end: string): string | undefined {
  const last = events.at(-1);
  if (last === undefined) return `no test started (${end}): the suite did not load`;
  if (last.event !== 'end') return `the extension host ended or hung (${end}) ${last.event === 'start' ? 'in' : 'after'} "${last.title}"`;
  if (last.tests === 0) return 'the suite has no tests';
  if (last.passes + last.pending + last.failures !== last.tests) return `only ${last.passes + last.pending + last.failures} of ${last.tests} tests ran`;
  return undefined;
}

async function main(): Promise<void> {
  const option = { type: 'string' } as const;
  const { values } = parseArgs({ options: { host: option, tests: option, workspace: option, results: option } });
  const { host, tests, workspace, results } = values;
  if (host === undefined || tests === undefined || workspace === undefined || results === undefined) {
    throw new Error('usage: hostRunner.cjs --host VERSION --tests FILE --workspace FOLDER --results FILE');
  }
  const { events, problem, log } = await runInHost({ host, tests, workspace });
  const record = (outcome: 'pass' | 'fail' | 'skip', name: string): void => appendFileSync(results, `${JSON.stringify({ outcome, name })}\n`);
  for (const event of events) {
    if (event.event === 'pass') {
      console.log(`  ✔ ${event.title} (${event.ms} ms)`);
      record('pass', event.title);
    } else if (event.event === 'pending') {
      console.log(`  – ${event.title} (skipped)`);
      record('skip', event.title);
    } else if (event.event === 'fail') {
      console.log(`  ✖ ${event.title}\n${event.message}`);
      record('fail', event.title);
    }
  }
  const failed = events.some(({ event }) => event === 'fail');
  if (problem !== undefined) {
    console.log(`  ✖ ${problem}`);
    record('fail', problem);
  }
  if (failed || problem !== undefined) {
    console.log(log.split('\n').slice(-60).join('\n'));
    process.exitCode = 1;
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
