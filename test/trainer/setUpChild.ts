// A set-up in a process of its own, to be ended at any moment: `setUpChild.cjs OPTIONS`, what `provideRuntime` takes, as JSON. Says `ready` at its end.
import { provideRuntime, type ProvideOptions } from '../../src/engine/provide.js';

provideRuntime({
  ...JSON.parse(process.argv[2] ?? '') as ProvideOptions,
  onProgress: (report) => process.stdout.write(`${JSON.stringify(report)}\n`),
}).then(
  () => process.stdout.write('ready\n'),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
