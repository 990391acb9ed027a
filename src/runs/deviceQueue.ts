// One trainer a device and user: the others wait in line, first come first served, whichever window or terminal they came from.
// Tickets make the order, a claim (claims.ts) makes sure that there is one holder. It stands in the per-user state folder rather than in the
// cache, which may be shared or cleared.
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Claim, claimsFolder, findHoldingClaims, shortHash, tryClaim } from './claims.js';
import { newNonce, ownIdentity, type ProcessIdentity } from './processIdentity.js';

const TICKET = 'ticket-';
const HOLDER = 'holder-';

export interface DeviceLease {
  /** Lets the next one have the device; a second call does nothing. */
  release(): Promise<void>;
}

export interface DeviceQueueOptions {
  /** Called with the place in line whenever it changes: how many are ahead, the one that has the device included. */
  onPosition(ahead: number): void;
  /** Asked at every look. */
  stopRequested(): boolean;
  readonly pollMs?: number;
}

/**
 * Waits until this process has `device` to itself. Resolves to undefined when it was asked to stop first. A holder or waiter that died, however
 * it died, is passed over at the next look.
 */
export async function waitForDevice(device: string, options: DeviceQueueOptions): Promise<DeviceLease | undefined> {
  const { pollMs = 500 } = options;
  const folder = claimsFolder('devices', shortHash(`${hostname()}\n${device}`));
  const identity = ownIdentity(newNonce(), device);
  const ticket = takeTicket(folder, identity);
  try {
    let told: number | undefined;
    for (;;) {
      if (options.stopRequested()) return undefined;
      const holders = findHoldingClaims(folder, HOLDER);
      // A holder's ticket stays for a moment after it has the device: counted once.
      const has = new Set(holders.map((holder) => holder.identity.nonce));
      const ahead = holders.length + findHoldingClaims(folder, TICKET).filter((other) => other.name < ticket.name && !has.has(other.identity.nonce)).length;
      if (ahead === 0) {
        const holder = tryClaim(folder, HOLDER, identity);
        if (holder !== undefined) {
          if (told !== undefined) options.onPosition(0);
          return { release: () => { holder.remove(); return Promise.resolve(); } };
        }
        await delay(Math.random() * 50); // two tried at once: not in step again
        continue;
      }
      if (ahead !== told) options.onPosition(ahead);
      told = ahead;
      await delay(pollMs);
    }
  } finally {
    ticket.claim.remove();
  }
}

/** The next number; of two that take the same one, the nonce decides. */
function takeTicket(folder: string, identity: ProcessIdentity): { claim: Claim; name: string } {
  const numbers = findHoldingClaims(folder, TICKET).map(({ name }) => Number.parseInt(name.slice(TICKET.length), 10)).filter(Number.isSafeInteger);
  const name = `${TICKET}${String(Math.max(0, ...numbers) + 1).padStart(12, '0')}-${identity.nonce}.json`;
  return { claim: Claim.make(folder, name, identity), name };
}
