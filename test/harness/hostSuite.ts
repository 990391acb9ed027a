// The entry that VS Code loads in its extension host (`extensionTestsPath`): runs the mocha suites beside it, out/host/*.test.cjs.
import { appendFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import Mocha from 'mocha';

/** What $TEST_RESULTS holds, one a line. `end` is written last; without it the host crashed or hung. */
export type HostEvent =
  | { readonly event: 'start' | 'pending'; readonly title: string }
  | { readonly event: 'pass'; readonly title: string; readonly ms: number }
  | { readonly event: 'fail'; readonly title: string; readonly message: string }
  | { readonly event: 'end'; readonly tests: number; readonly passes: number; readonly pending: number; readonly failures: number };

export async function run(): Promise<void> {
  const results = process.env['TEST_RESULTS'];
  const report = (event: HostEvent): void => {
    if (results !== undefined) appendFileSync(results, `${JSON.stringify(event)}\n`);
  };
  const mocha = new Mocha({ ui: 'bdd', timeout: 30_000, ...(process.env['TEST_GREP'] !== undefined && { grep: new RegExp(process.env['TEST_GREP']) }) });
  for (const file of readdirSync(__dirname).sort()) if (file.endsWith('.test.cjs')) mocha.addFile(path.join(__dirname, file));

  await new Promise<void>((resolve, reject) => {
    const runner = mocha.run((failures) => {
      const { tests = 0, passes = 0, pending = 0 } = runner.stats ?? {};
      report({ event: 'end', tests, passes, pending, failures });
      if (failures > 0) reject(new Error(`${failures} tests failed`));
      else resolve();
    });
    runner.on('test', (test) => report({ event: 'start', title: test.fullTitle() }));
    runner.on('pass', (test) => report({ event: 'pass', title: test.fullTitle(), ms: test.duration ?? 0 }));
    runner.on('pending', (test) => report({ event: 'pending', title: test.fullTitle() }));
    runner.on('fail', (test, error: unknown) => {
      report({ event: 'fail', title: test.fullTitle(), message: error instanceof Error ? error.stack ?? error.message : String(error) });
    });
  });
}
