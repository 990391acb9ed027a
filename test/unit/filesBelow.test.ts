import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { filesBelow } from '../../src/storage/filesBelow.js';

test('the files below a folder are found at any depth, and links are not followed', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'thaw-below-'));
  try {
    mkdirSync(path.join(folder, 'a', 'b'), { recursive: true });
    for (const name of ['one', path.join('a', 'two'), path.join('a', 'b', 'three')]) writeFileSync(path.join(folder, name), '');
    symlinkSync(folder, path.join(folder, 'a', 'round'));
    symlinkSync(path.join(folder, 'one'), path.join(folder, 'link'));
    const found: string[] = [];
    for await (const name of filesBelow(folder)) found.push(name);
    assert.deepEqual(found.sort(), [path.join('a', 'b', 'three'), path.join('a', 'two'), 'one']);
    await assert.rejects(async () => { for await (const name of filesBelow(path.join(folder, 'gone'))) assert.fail(name); }, /ENOENT/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
