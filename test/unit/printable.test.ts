// What a terminal would obey, in what Thaw prints of names and messages from disk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '../../src/protocol/errors.js';
import { printable, printableError } from '../../src/protocol/printable.js';
import { ProgressLine } from '../../src/trainer/commands/progressLine.js';

const HOSTILE = 'cats\u001b[2J\u009b2J\r\n\u0007';

test('a name keeps its letters and loses what a terminal obeys', () => {
  assert.equal(printable(HOSTILE), 'cats?[2J?2J???');
  assert.equal(printable('Blüten, 花 🌸 🇫🇷'), 'Blüten, 花 🌸 🇫🇷');
});

test('an error is one line, one that is not Thaw\'s has its stack', () => {
  assert.equal(printableError(new ThawError('input', 'x', `There is no folder ${HOSTILE}`, 'Give another')), 'There is no folder cats?[2J?2J???. Give another.\n');
  const text = printableError(new Error(HOSTILE));
  assert.match(text, /^Error: cats\?\[2J\?2J\?\n\?\n {4}at .*\n$/s);
});

test('progress rewrites its own line, and obeys no message', () => {
  for (const isTTY of [true, false]) {
    const written: string[] = [];
    const progress = new ProgressLine({ isTTY, columns: 80, write: (text: string | Uint8Array) => written.push(String(text)) > 0 });
    progress.bytes(HOSTILE, 1, 2);
    progress.show({ type: 'message', time: 0, level: 'warning', text: HOSTILE });
    progress.show({ type: 'phase', time: 0, phase: 'scanning', message: HOSTILE });
    progress.end();
    const own = written.join('').replaceAll('\r\u001b[K', '');
    assert.doesNotMatch(own.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f]/);
    assert.equal(own.split('\n').length, 3);
  }
});
