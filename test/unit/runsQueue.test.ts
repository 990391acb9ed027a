// Exclusive claims, and the device's line, between real processes that are killed as it pleases chance.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Claim, claimsFolder, tryClaim } from '../../src/runs/claims.js';
import { waitForDevice } from '../../src/runs/deviceQueue.js';
import { newNonce, ownIdentity } from '../../src/runs/processIdentity.js';
import { childProcesses, temporaryFolder, until, type Child } from './runFixtures.js';

const folder = temporaryFolder();
const start = childProcesses(folder);
const logFile = (name: string): string => path.join(folder.path, `${name}.log`);

/** Has the device for so long, or, for 0, until SIGUSR2. */
async function queue(device: string, holdMs: number): Promise<Child> {
  return start('queue', device, String(holdMs), logFile(device));
}

/** Whether the log shows one holder at a time; a killed one never says that it let go. */
function assertExclusive(device: string, killed: readonly (number | undefined)[] = []): number {
  const holders = new Set<string>();
  let held = 0;
  for (const line of readFileSync(logFile(device), 'utf8').trim().split('\n')) {
    const [sign, pid] = [line[0], line.slice(1)];
    for (const gone of killed) if (sign === '+') holders.delete(String(gone));
    if (sign === '+') {
      assert.equal(holders.size, 0, `${pid} got the device while ${[...holders].join(', ')} had it`);
      holders.add(pid);
      held += 1;
    } else holders.delete(pid);
  }
  return held;
}

describe('a claim', () => {
  test('is made only where no living process has one, and leaves nothing behind where it is not', () => {
    const claims = claimsFolder('test');
    const first = tryClaim(claims, 'x-', ownIdentity(newNonce()));
    assert.ok(first);
    assert.equal(tryClaim(claims, 'x-', ownIdentity(newNonce())), undefined);
    assert.deepEqual(readdirSync(claims), [path.basename(first.file)]);
    const beside = tryClaim(claims, 'y-', ownIdentity(newNonce()));
    assert.ok(beside, 'another prefix is another thing');
    beside.remove();
    first.remove();
    const again = tryClaim(claims, 'x-', ownIdentity(newNonce()));
    assert.ok(again);
    again.remove();
  });
  test('of a process that is gone counts for nothing; of one that can\'t be looked at, for a minute after its last touch', () => {
    const claims = claimsFolder('test');
    const own = ownIdentity(newNonce());
    const dead = Claim.make(claims, 'x-dead.json', { ...own, startTime: '1' });
    const rebooted = Claim.make(claims, 'x-rebooted.json', { ...own, bootId: 'before' });
    const elsewhere = Claim.make(claims, 'x-elsewhere.json', { ...own, host: 'elsewhere' });
    assert.equal(tryClaim(claims, 'x-', ownIdentity(newNonce())), undefined);
    assert.deepEqual(readdirSync(claims), ['x-elsewhere.json'], 'those of the dead are cleared away');
    utimesSync(elsewhere.file, new Date(), new Date(Date.now() - 61_000));
    const claim = tryClaim(claims, 'x-', ownIdentity(newNonce()));
    assert.ok(claim);
    for (const each of [dead, rebooted, elsewhere, claim]) each.remove();
  });
});

describe('the device', () => {
  test('is had in order of arrival, by one at a time, and each sees its place', async () => {
    const first = await queue('order', 0);
    assert.equal(await first.line(), 'has it');
    const second = await queue('order', 50);
    assert.equal(await second.line(), 'ahead 1');
    const third = await queue('order', 50);
    assert.equal(await third.line(), 'ahead 2');
    first.process.kill('SIGUSR2');
    assert.equal(await first.line(), 'released');
    assert.equal(await second.line(), 'ahead 0');
    assert.equal(await second.line(), 'has it');
    await Promise.all([first.ended, second.ended, third.ended]);
    assert.equal(assertExclusive('order'), 3);
    const pids = readFileSync(logFile('order'), 'utf8').trim().split('\n').map((line) => Number(line.slice(1)));
    assert.deepEqual(pids, [first, first, second, second, third, third].map(({ process: { pid } }) => pid));
  });
  test('goes to the next one when its holder, or one in the line, is killed', async () => {
    const holder = await queue('killed', 0);
    assert.equal(await holder.line(), 'has it');
    const waiter = await queue('killed', 50);
    assert.equal(await waiter.line(), 'ahead 1');
    const last = await queue('killed', 50);
    assert.equal(await last.line(), 'ahead 2');
    waiter.process.kill('SIGKILL');
    await waiter.ended;
    assert.equal(await last.line(), 'ahead 1');
    holder.process.kill('SIGKILL');
    await holder.ended;
    assert.equal(await last.line(), 'ahead 0');
    assert.equal(await last.line(), 'has it');
    await last.ended;
    assert.equal(assertExclusive('killed', [holder.process.pid]), 2);
  });
  test('is never had by two, however many come at once', async () => {
    writeFileSync(logFile('crowd'), '');
    const crowd = await Promise.all(Array.from({ length: 6 }, () => queue('crowd', 15)));
    await Promise.all(crowd.map(({ ended }) => ended));
    assert.equal(assertExclusive('crowd'), 6);
  });
  test('is not waited for by one who is asked to stop', async () => {
    const lease = await waitForDevice('stop', { onPosition: () => undefined, stopRequested: () => false });
    assert.ok(lease);
    let asked = false;
    const positions: number[] = [];
    const waiting = waitForDevice('stop', { onPosition: (ahead) => positions.push(ahead), stopRequested: () => asked, pollMs: 5 });
    await until('it is in line', () => positions.length > 0);
    asked = true;
    assert.equal(await waiting, undefined);
    assert.deepEqual(positions, [1]);
    await lease.release();
    await lease.release();
    const next = await waitForDevice('stop', { onPosition: () => assert.fail('nobody is ahead'), stopRequested: () => false });
    await next?.release();
    const other = await Promise.all(['x', 'y'].map((device) => waitForDevice(device, { onPosition: () => undefined, stopRequested: () => false })));
    assert.ok(other.every((each) => each !== undefined));
    for (const each of other) await each.release();
  });
});
