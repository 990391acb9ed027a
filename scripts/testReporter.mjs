// A node:test reporter: prints each test, and appends `{ outcome, name }` for each to $TEST_OUTCOMES, so that counts over all suites are exact.
import fs from 'node:fs';
import path from 'node:path';

export default async function* report(source) {
  const outcomes = process.env.TEST_OUTCOMES;
  const record = (outcome, name) => {
    if (outcomes !== undefined) fs.appendFileSync(outcomes, `${JSON.stringify({ outcome, name })}\n`);
  };
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') {
      yield data.message;
      continue;
    }
    if (type === 'test:diagnostic' && data.nesting === 0) continue; // node's own totals, which count otherwise
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const kind = data.details?.type;
    const failed = type === 'test:fail';
    const indent = '  '.repeat(data.nesting + 1);
    const name = data.name;
    if (kind === 'suite' && !(failed && isItsOwn(data.details.error))) continue; // its tests count, it does not
    if (!failed && isFile(name)) {
      yield `${indent}✖ ${path.basename(name)} holds no test\n`;
      record('fail', `${path.basename(name)} holds no test`);
    } else if (data.skip !== undefined && data.skip !== false) {
      if (/pattern/.test(String(data.skip))) continue; // left out by --grep
      yield `${indent}– ${name} (skipped${typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : ''})\n`;
      record('skip', name);
    } else if (data.todo !== undefined && data.todo !== false) {
      yield `${indent}– ${name} (to do)\n`;
      record('skip', name);
    } else if (failed) {
      if (!isItsOwn(data.details.error)) continue; // a test that failed through its subtests: they are counted
      yield `${indent}✖ ${name}\n${describe(data.details.error)}\n`;
      record('fail', name);
    } else {
      yield `${indent}✔ ${name} (${Math.round(data.details.duration_ms)} ms)\n`;
      record('pass', name);
    }
  }
}

/** False for a failure that only repeats what failed within. */
function isItsOwn(error) {
  return error?.failureType !== 'subtestsFailed';
}

/** node:test reports a file that holds no test as a test by the file's name. */
function isFile(name) {
  return /\.test\.cjs$/.test(name);
}

function describe(error) {
  const cause = error?.cause ?? error;
  const text = cause instanceof Error ? cause.stack ?? cause.message : String(cause?.stack ?? cause?.message ?? cause);
  return text.replaceAll(/^/gm, '    ');
}
